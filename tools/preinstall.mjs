// Runs on the system's Node, before anything is installed, so it is plain JavaScript.
// On Linux, and on macOS with Intel, the project's own Node comes with `npm ci`; elsewhere the system's must do.
const brought = ['linux-x64', 'linux-arm64', 'darwin-x64'].includes(`${process.platform}-${process.arch}`);
const [major, minor] = process.versions.node.split('.').map(Number);
// 24.7 is the first with Argon2 (node:crypto); sources in TypeScript run since before that.
if (!brought && (major < 24 || (major === 24 && minor < 7))) {
  console.error(
    `Worktide needs Node 24.7 or newer on ${process.platform}-${process.arch}; this is ${process.version}.`,
  );
  process.exit(1);
}
