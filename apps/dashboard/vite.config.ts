import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    // No font, picture or style inside another file: the policy of the pages knows files of ours alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    manifest: 'manifest.json',
  },
  server: {
    // npm run dashboard:dev, beside a product that runs.
    proxy: Object.fromEntries(
      ['/api', '/objects', '/.well-known', '/socket.io'].map((prefix) => [
        prefix,
        { target: process.env.WORKTIDE_URL ?? 'http://127.0.0.1:8080', ws: prefix === '/socket.io' },
      ]),
    ),
  },
});
