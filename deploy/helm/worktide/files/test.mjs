// `helm test`: all services are ready; with an agent key a ping goes all the way into a report.
const services = [
  'AUTH',
  'WORKSPACE',
  'INGEST_GATEWAY',
  'SESSION_WRITER',
  'SCREENSHOT_PROCESSOR',
  'ANALYTICS',
  'REALTIME',
];
for (const name of services) {
  const answer = await fetch(`${process.env[name]}:8080/health/ready`);
  console.log(name, answer.status);
  if (!answer.ok) throw new Error(`${name} is not ready: ${await answer.text()}`);
}
const key = process.env.AGENT_KEY;
if (key) {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const now = Date.now();
  const app = `helm test ${now}`;
  const hex = now.toString(16).padStart(12, '0');
  const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(now).slice(-12).padStart(12, '0')}`;
  const ping = {
    id,
    app,
    startedAt: new Date(now - 1000).toISOString(),
    endedAt: new Date(now).toISOString(),
    deviceId: 'helm-test',
  };
  const sent = await fetch(`${process.env.INGEST_GATEWAY}:8080/api/v1/pings`, {
    method: 'POST',
    headers,
    body: JSON.stringify(ping),
  });
  if (sent.status !== 202) throw new Error(`the ping was answered ${sent.status}: ${await sent.text()}`);
  const date = new Date(now).toISOString().slice(0, 10);
  for (let left = 60; ; left--) {
    const answer = await fetch(`${process.env.ANALYTICS}:8080/api/v1/reports/apps?timezone=UTC&date=${date}`, {
      headers,
    });
    const { items = [] } = await answer.json();
    if (items.some((item) => item.app === app)) break;
    if (left === 0) throw new Error('the ping did not reach the report within a minute');
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  console.log('a ping reached its report');
}
