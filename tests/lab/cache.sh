# Sourced: where downloads and built kernels are kept between runs.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/straddle
mkdir -p "$cache"

# cached_instead WHAT PATTERN: the newest directory there, where apt provides no WHAT.
cached_instead()
{
	local newest
	newest=$(find "$cache" -maxdepth 1 -type d -name "$2" | sort -V | tail -n 1)
	if [ -z "$newest" ]; then
		echo "${0##*/}: apt cannot provide $1: this needs Debian 12 and apt-get update" >&2
		return 1
	fi
	echo "${0##*/}: apt cannot provide $1 now, using the cached ${newest##*/}" >&2
	echo "$newest"
}
