/** What a newcomer does next, to be pasted as it is. */
export function welcome(url: string, data: string): string {
  return `
Worktide is ready at ${url}   (API pages: ${url}/api/docs, data and log: ${data})

Open it in a browser and register, or try it in another terminal:

  # 1. an organisation and its first admin
  TOKEN=$(curl -s ${url}/api/v1/auth/register -H 'content-type: application/json' \\
    -d '{"email":"me@example.com","password":"correct horse battery","name":"Me","organizationName":"Mine"}' \\
    | node -pe 'JSON.parse(require("fs").readFileSync(0)).accessToken')

  # 2. a key for an agent
  KEY=$(curl -s ${url}/api/v1/auth/agent-keys -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -d '{"name":"laptop"}' | node -pe 'JSON.parse(require("fs").readFileSync(0)).key')

  # 3. a ping: "this app, this page, for the last five minutes"
  node -e 'const t=Date.now(); console.log(JSON.stringify({id:crypto.randomUUID(), app:"Firefox", url:"https://example.com/",
    startedAt:new Date(t-300000), endedAt:new Date(t)}))' \\
    | curl -s ${url}/api/v1/pings -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d @-

  # 4. the report of today
  curl -s "${url}/api/v1/reports/apps?date=$(date -u +%F)&timezone=UTC" -H "authorization: Bearer $TOKEN"

Or a whole fleet that checks every total:  npm run fleet -- --url ${url} --agents 50 --seconds 20
Ctrl-C stops everything.`;
}
