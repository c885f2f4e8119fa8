"""A registry of images for tests (the OCI distribution API, as far as a pull asks it), with a user and a password:
registry.py PORT USER:PASSWORD NAME TAG FILESYSTEM.tar ENTRYPOINT..."""

import base64
import hashlib
import http.server
import json
import sys
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def contents(layer: bytes, entrypoint: list[str]) -> tuple[bytes, dict[str, bytes]]:
    """The manifest, and what it names."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": entrypoint},
                         "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()  # fmt: skip

    def part(kind: str, data: bytes) -> dict:
        return {"mediaType": f"application/vnd.docker.{kind}", "size": len(data), "digest": digest(data)}

    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": part("container.image.v1+json", config),
                "layers": [part("image.rootfs.diff.tar", layer)]}  # fmt: skip
    return json.dumps(manifest).encode(), {digest(config): config, digest(layer): layer}


def main():
    port, credentials, name, tag, layer, *entrypoint = sys.argv[1:]
    manifest, blobs = contents(Path(layer).read_bytes(), entrypoint)
    wanted = "Basic " + base64.b64encode(credentials.encode()).decode()
    manifests = {f"/v2/{name}/manifests/{what}": manifest for what in (tag, digest(manifest))}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            status, kind, body = 404, "application/json", b"{}"
            if self.headers.get("Authorization") != wanted:
                status = 401
            elif self.path == "/v2/":
                status = 200
            elif self.path in manifests:
                status, kind, body = 200, MANIFEST, manifests[self.path]
            elif self.path.rpartition("/")[2] in blobs:
                status, kind, body = 200, "application/octet-stream", blobs[self.path.rpartition("/")[2]]
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="registry"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", digest(body))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = reply

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
