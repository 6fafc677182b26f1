#!/bin/sh
# Lines of the head end with CR LF: the proxy refuses what two readers might read differently.
echo "${REQUEST_METHOD:-GET} ${REQUEST_URI:-/} for ${HTTP_FLY_CLIENT_IP:-$REMOTE_ADDR}" >&2
printf 'Content-Type: text/plain; charset=utf-8\r\n\r\n'
echo "$GREETING from $FLY_REGION: machine $FLY_MACHINE_ID"
