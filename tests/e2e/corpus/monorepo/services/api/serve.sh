#!/bin/sh
# shellcheck source=/dev/null
. /lib/common.sh
common api
