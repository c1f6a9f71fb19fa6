# Sourced: where downloads and built kernels are kept between runs.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/straddle
mkdir -p "$cache"
