// node embed.mjs DIST OUT.cc: the built dashboard as a C++ file, plain and compressed. The same
// files make the same bytes.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const MOST_BYTES = 100 * 1024; // of the whole page, compressed

const [dist, out] = process.argv.slice(2);
const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  .sort();

function array(name, bytes) {
  const numbers = [];
  for (let i = 0; i < bytes.length; i += 24) numbers.push([...bytes.subarray(i, i + 24)].join(","));
  return `const unsigned char ${name}[] = {\n${numbers.join(",\n")}};\n`;
}

let data = "";
let table = "";
let weight = 0;
files.forEach((file, i) => {
  const type = TYPES[extname(file)];
  if (!type) throw new Error(`${file}: its content type is not known to embed.mjs`);
  const plain = readFileSync(file);
  const gzip = gzipSync(plain, { level: 9 });
  weight += gzip.length;
  const relative = file.slice(dist.length + 1);
  const path = relative === "index.html" ? "/ui" : `/ui/${relative}`;
  const etag = createHash("sha256").update(plain).digest("hex").slice(0, 24);
  data += array(`kPlain${i}`, plain) + array(`kGzip${i}`, gzip);
  table += `    {"${path}", "${type}", "\\"${etag}\\"", ${relative.startsWith("assets/")},
     View(kPlain${i}), View(kGzip${i})},\n`;
});
if (weight > MOST_BYTES) throw new Error(`the dashboard weighs ${weight} bytes: ${MOST_BYTES} at most`);

writeFileSync(
  out,
  `#include "api-gateway/src/ui_files.h"

namespace dispatch::gateway {
namespace {
template <size_t kSize>
std::string_view View(const unsigned char (&bytes)[kSize]) {
  return {reinterpret_cast<const char*>(bytes), kSize};
}
${data}}  // namespace

std::vector<UiFile> UiFiles() {
  return {
${table}  };
}
}  // namespace dispatch::gateway
`,
);
console.log(`dashboard: ${files.length} files, ${weight} bytes compressed`);
