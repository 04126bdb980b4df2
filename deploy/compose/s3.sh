#!/bin/sh
# SeaweedFS with one account and nothing for strangers.
set -eu
umask 077
cat > /run/s3/accounts.json <<END
{"identities": [{"name": "worktide", "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
END
exec weed server -dir=/data -s3 -s3.port=8333 -s3.config=/run/s3/accounts.json -ip=127.0.0.1 -ip.bind=0.0.0.0 -master.volumeSizeLimitMB=1024
