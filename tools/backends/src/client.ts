import { request } from 'node:http';
import { type BackendName, socketVariable, variableOf } from './names.ts';

/**
 * The URL of a real engine, for a test: from `TEST_<NAME>_URL`, else from the supervisor that Jest's globalSetup
 * started, which starts the engine at the first demand of the whole run.
 * @throws Error that says what to do when the engine cannot be had; a test then fails, it is never skipped.
 */
export async function backend(name: BackendName): Promise<string> {
  const given = process.env[variableOf(name)];
  if (given) return given;
  const socketPath = process.env[socketVariable];
  if (!socketPath) {
    throw new Error(`${variableOf(name)} is not set and no supervisor runs: start tests with npm test or npm run jest`);
  }
  const { status, text } = await get(socketPath, `/${name}`);
  if (status === 200) return text;
  throw new Error(`the backend ${name} is not available: ${text}`);
}

const get = (socketPath: string, path: string): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    const call = request({ socketPath, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
