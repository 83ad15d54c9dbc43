import {defineConfig} from 'vitest/config';

// `npm run dev` serves the page with hot reload and hands the API to a replifire
// server: REPLIFIRE_SERVER, or the one of `make dev`.
const server = process.env['REPLIFIRE_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the content security policy allows no data: URLs
    modulePreload: {polyfill: false},
    reportCompressedSize: false,
  },
  resolve: {dedupe: ['replicache']},
  server: {proxy: {'/api': {target: server, changeOrigin: true}}},
  test: {include: ['test/**/*.test.ts']},
});
