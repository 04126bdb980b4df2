import { type DeploymentTable, serviceOf } from './table.ts';

/**
 * nginx for `docker-compose.yml`. A file of 50,000,000 bytes with its form is our gateway's to judge, so nginx takes a little more; how
 * long a body may take is the gateway's to say as well: nginx counts between two reads.
 */
export const composeIngress = ({
  routes,
}: DeploymentTable): string => `# Made from deploy/helm/worktide/files/services.yaml by \`npm run deployment\`; a test compares.
pid /tmp/nginx.pid;
worker_processes auto;
error_log /dev/stderr warn;
events { worker_connections 10000; }
http {
  access_log off;
  server_tokens off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  # Docker's own: replicas come and go.
  resolver 127.0.0.11 valid=5s;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  # A refresh of a browser's session must know that it came by TLS, where a proxy in front says so.
  map $http_x_forwarded_proto $forwarded_proto { default $http_x_forwarded_proto; '' $scheme; }
  server {
    listen 8080;
    client_max_body_size 52m;
    client_body_timeout 130s;
    proxy_read_timeout 130s;
    proxy_connect_timeout 2s;
    proxy_request_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $forwarded_proto;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    default_type application/json;
${routes
  .filter(({ prefix }) => prefix !== '/')
  .map(({ prefix, service, maxBody, bodySeconds }) => {
    const own = [
      ...(maxBody === undefined ? [] : [`client_max_body_size ${maxBody};`]),
      // Nobody answers before all of it is here.
      ...(bodySeconds === undefined ? [] : [`proxy_read_timeout ${bodySeconds}s;`]),
      `set $service http://${service}:8080; proxy_pass $service;`,
    ];
    return `    location ~ ^${prefix.replaceAll('.', '\\.')}(/|$) { ${own.join(' ')} }`;
  })
  .join('\n')}
    # Signed links to pictures and files: the store's own to judge, by the very host and path that were signed.
    location /objects/ { set $service http://s3:8333; proxy_pass $service; }
    location = /ingress-health { access_log off; return 204; }
    # What is between two replicas is over in a moment.
    error_page 502 504 = @away;
    location @away {
      add_header Retry-After 1 always;
      return 503 '{"statusCode":503,"code":"DEPENDENCY_UNAVAILABLE","message":"The service cannot answer at the moment."}';
    }
    error_page 413 = @large;
    location @large { return 413 '{"statusCode":413,"code":"BODY_TOO_LARGE","message":"The body is larger than this operation takes."}'; }
    location ~ ^/(api|health|internal|metrics)(/|$) { return 404 '{"statusCode":404,"code":"NOT_FOUND","message":"There is no such path."}'; }
    location / { set $service http://${serviceOf('/', routes)}:8080; proxy_pass $service; }
  }
}
`;
