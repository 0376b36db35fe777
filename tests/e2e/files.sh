#!/bin/bash
# files.sh - what goes over the lane arrives as it was: files, keys, 1,000 connections
#
# By default 500 files and 50,000 keys; in the long mode (LANE_LONG) 10,000 files of 2 GB in all and a million.
. "$(dirname "$(readlink -f "$0")")/lib.sh"

nr_files=500 limit=170000000 nr_keys=50000 seconds=90
[ -n "${LANE_LONG:-}" ] && nr_files=10000 limit=2000000000 nr_keys=1000000 seconds=600
seed=${SEED:-$(date +%s)}

files()
{
	say "seed $seed"
	/usr/bin/python3 "$here/fetch.py" make "$lane_tmp/www/files" "$nr_files" "$seed" "$limit" || return 1
	nginx_start 8080 1 || return 1
	over_lane "$nr_files" in_c timeout "$seconds" /usr/bin/python3 "$here/fetch.py" get "$S4" 8080 "$lane_tmp/www/files.sums"
}

keys()
{
	say "seed $seed"
	redis_start 6379 || return 1
	over_lane 300 in_c timeout "$seconds" /usr/bin/python3 "$here/keys.py" "$S4" 6379 "$nr_keys" "$seed"
}

thousand() # ping|http PORT
{
	over_lane 3000 in_c timeout 60 /usr/bin/python3 "$here/conns.py" "$1" "$S4" "$2" 1000
}

begin
net_up
mkdir -p "$lane_tmp/www"
head -c 612 /dev/urandom >"$lane_tmp/www/small"
case_ "files-$nr_files" files
case_ nginx-1000-connections thousand http 8080
clear_ns
case_ "redis-$nr_keys-keys" keys
case_ redis-1000-connections thousand ping 6379
end
