import { aptInstall, onPath } from './command.ts';

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

async function present(): Promise<string | undefined> {
  for (const name of names) {
    const found = await onPath(name);
    if (found) return found;
  }
  return undefined;
}

/**
 * The path of a Chromium for tests of pages: `TEST_CHROMIUM`, the system's, or Debian's, which is installed then.
 * @throws Error that says what to install where that cannot be done.
 */
export async function chromium(): Promise<string> {
  const given = process.env.TEST_CHROMIUM || (await present());
  if (given) return given;
  // Fonts are what text is measured with.
  await aptInstall(['chromium', 'fonts-dejavu-core'], 'Testing the dashboard');
  const installed = await present();
  if (!installed) throw new Error('apt-get installed chromium, and it is not on the PATH.');
  return installed;
}
