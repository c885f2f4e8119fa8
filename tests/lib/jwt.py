"""JSON Web Tokens for tests, signed by the openssl command: not by what is tested."""

import base64
import json
import subprocess
import time
from pathlib import Path

KINDS = {
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "RS384": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "RS512": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ES384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "EdDSA": ["-algorithm", "ED25519"],
}
CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48)}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*words: str, input: bytes | None = None) -> bytes:
    return subprocess.run(["openssl", *words], input=input, capture_output=True, check=True).stdout


def _raw_ecdsa(der: bytes, width: int) -> bytes:
    """r and s, `width` bytes each, of SEQUENCE {INTEGER r, INTEGER s}."""
    size = der[3]
    r, s = der[4 : 4 + size], der[6 + size :]
    return b"".join(int.from_bytes(n, "big").to_bytes(width, "big") for n in (r, s))


class Signer:
    def __init__(self, directory: Path, algorithm: str = "RS256", kid: str | None = None):
        self.algorithm, self.kid = algorithm, kid
        self.file = directory / f"{algorithm}-{time.monotonic_ns()}.pem"
        _openssl("genpkey", "-quiet", *KINDS[algorithm], "-out", str(self.file))
        self.public = _openssl("pkey", "-in", str(self.file), "-pubout").decode()

    def jwk(self) -> dict:
        der = _openssl("pkey", "-in", str(self.file), "-pubout", "-outform", "DER")
        own = {"kid": self.kid} if self.kid else {}
        if self.algorithm == "EdDSA":
            return {**own, "kty": "OKP", "crv": "Ed25519", "x": base64url(der[-32:])}
        if self.algorithm in CURVES:
            curve, width = CURVES[self.algorithm]
            x, y = der[-2 * width : -width], der[-width:]
            return {**own, "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)}
        told = _openssl("rsa", "-in", str(self.file), "-noout", "-modulus").decode()
        modulus = bytes.fromhex(told.strip().split("=")[1])
        return {**own, "kty": "RSA", "n": base64url(modulus), "e": "AQAB", "use": "sig"}

    def token(self, **claims) -> str:
        claims = {"exp": int(time.time()) + 300, **claims}
        header = {"alg": self.algorithm, "typ": "JWT", **({"kid": self.kid} if self.kid else {})}
        text = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        if self.algorithm == "EdDSA":
            message = self.file.with_suffix(".text")  # one-shot signing wants a file
            message.write_text(text)
            words = ["pkeyutl", "-sign", "-rawin", "-inkey", str(self.file), "-in", str(message)]
            signature = _openssl(*words)
        else:
            digest = "-sha" + self.algorithm[2:]
            signature = _openssl("dgst", digest, "-sign", str(self.file), input=text.encode())
        if self.algorithm in CURVES:
            signature = _raw_ecdsa(signature, CURVES[self.algorithm][1])
        return f"{text}.{base64url(signature)}"
