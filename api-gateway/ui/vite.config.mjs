import { defineConfig } from "vite";

// DISPATCH_API_URL: where `npm run dev` finds a gateway.
const api = process.env.DISPATCH_API_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "/ui/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy forbids data:
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { host: "127.0.0.1", proxy: { "/v1": api, "/home": api } },
});
