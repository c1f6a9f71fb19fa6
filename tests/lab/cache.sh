# Sourced: sets the directory in which downloads and built kernels are kept between runs.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/straddle
mkdir -p "$cache"

# cached_instead WHAT PATTERN: prints the newest cached directory that matches, for when apt offers no WHAT.
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

# use_suites SUITE...: sets the array apt to what makes apt-get and apt-cache know these suites of Debian and
# no installed package, for the architecture $arch (amd64). They come from the mirror that this system uses
# for its own suite, with lists of their own in the cache, a day old at most if the mirror answers. Nothing
# of the system is touched.
use_suites()
{
	local dir="$cache/apt-$* ${arch:=amd64}" keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror suite
	dir=${dir// /-}
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		'Label: Debian' 2>/dev/null | head -n 1) || true
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: >"$dir/status"
	apt=(-q -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
		-o "Dir::State=$dir" -o "Dir::State::Lists=$dir/lists" -o "Dir::State::Status=$dir/status"
		-o "Dir::Cache=$dir" -o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none
		-o "APT::Architecture=$arch" -o "APT::Architectures::=$arch")
	(
		flock 9
		[ -z "$(find "$dir/fresh" -mtime -1 2>/dev/null)" ] || exit 0
		[ -n "$mirror" ] || exit 0
		for suite; do
			echo "deb [signed-by=$keys] $mirror $suite main"
		done >"$dir/sources.list"
		apt-get "${apt[@]}" -qq -o APT::Update::Error-Mode=any update >&2 && touch "$dir/fresh"
	) 9>"$dir/lock" || echo "${0##*/}: apt cannot read the lists of $*" >&2
}

# field PACKAGE NAME: one field of the newest version of a package, of the suites in use or the system's own.
field()
{
	{ apt-cache "${apt[@]}" show --no-all-versions "$1" 2>/dev/null || true; } | sed -n "s/^$2: //p"
}
