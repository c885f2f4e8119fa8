"""Endpoints that ask for a JSON Web Token: `authentication: jwt`."""

import time

import pytest
from lib.jwt import Signer, base64url

API = "/v1/api"


@pytest.fixture
def guarded(expose, echo, name):
    def make(**rules) -> str:
        return expose(echo, f"/{name('jwt')}", authentication="jwt", jwt=rules)

    return make


@pytest.fixture
def ask(call):
    def send(path: str, token: str | None):
        return call("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})

    return send


def refused(answer, reason: str):
    assert answer.status_code == 401 and reason in answer.json()["message"], answer.text
    field = answer.headers["WWW-Authenticate"]
    assert field.startswith('Bearer error="invalid_token"') and reason in field


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"])
def test_a_signed_token_opens_and_its_claims_reach_the_handler(guarded, ask, tmp_path, algorithm):
    signer = Signer(tmp_path, algorithm)
    by_pem = guarded(publicKeys=[signer.public])
    by_jwks = guarded(jwks={"keys": [signer.jwk()]})
    for path in (by_pem, by_jwks):
        answer = ask(path, signer.token(sub="jon", roles=["a", "b"]))
        assert answer.status_code == 200, answer.text
        context = answer.json()[1]
        assert context["claims"]["sub"] == "jon" and context["claims"]["roles"] == ["a", "b"]
        assert "authorization" not in context
        refused(ask(path, Signer(tmp_path, algorithm).token()), "no known key")


def test_without_a_token_it_is_asked_for(guarded, call, ask, tmp_path):
    path = guarded(publicKeys=[Signer(tmp_path).public])
    answer = ask(path, None)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    refused(ask(path, "x"), "malformed")
    unsigned = base64url(b'{"alg":"none"}') + "." + base64url(b'{"exp":9999999999}') + "."
    refused(ask(path, unsigned), "no known key")
    assert call("OPTIONS", path).status_code == 200


def test_times_issuer_and_audience_hold(guarded, ask, tmp_path):
    signer = Signer(tmp_path, "EdDSA")
    path = guarded(publicKeys=[signer.public], issuer="https://i", audience="orders", leeway="2s")
    good = {"iss": "https://i", "aud": ["x", "orders"]}
    now = int(time.time())
    assert ask(path, signer.token(**good, nbf=now - 10)).status_code == 200
    refused(ask(path, signer.token(**good, exp=now - 10)), "expired")
    refused(ask(path, signer.token(**good, nbf=now + 60)), "not valid yet")
    refused(ask(path, signer.token(**{**good, "iss": "https://j"})), "issuer")
    refused(ask(path, signer.token(**{**good, "aud": "x"})), "audience")


def test_keys_are_rotated_without_a_refusal(org, expose, echo, ask, name, tmp_path):
    old, new = Signer(tmp_path, "ES256", kid="old"), Signer(tmp_path, "ES256", kid="new")
    path = expose(echo, f"/{name('jwt')}", authentication="jwt", jwt={"jwks": {"keys": [old.jwk()]}})

    def keys(*signers):
        jwt = {"jwks": {"keys": [signer.jwk() for signer in signers]}}
        body = {"function": echo, "uris": [path], "enabled": True, "authentication": "jwt", "jwt": jwt}
        org.put(f"{API}/{expose.name}", body, expect=200)

    keys(old, new)
    assert [ask(path, signer.token()).status_code for signer in (old, new)] == [200, 200]
    keys(new)
    assert [ask(path, signer.token()).status_code for signer in (old, new)] == [401, 200]


def test_a_field_of_the_request_is_no_claim(expose, echo, call, name):
    path = expose(echo, f"/{name('public')}")
    answer = call("GET", path, headers={"Claims": '{"sub": "root"}'})
    assert answer.status_code == 200 and "claims" not in answer.json()[1]


def test_faults_name_the_field(org, name, tmp_path):
    body = {"name": name("api"), "function": "f", "authentication": "jwt"}

    def faults(jwt) -> dict:
        refused = org.post(API, {**body, "jwt": jwt}, expect=422).json()
        return {detail["field"]: detail["reason"] for detail in refused["details"]}

    assert "required" in faults(None)["jwt"]
    assert "required" in faults({})["jwt.publicKeys"]
    assert "private key" in faults({"publicKeys": [Signer(tmp_path).file.read_text()]})["jwt.publicKeys"]
    assert "keys[0]" in faults({"jwks": {"keys": [{"kty": "RSA"}]}})["jwt.jwks"]
    assert "not a field" in faults({"keys": []})["jwt.keys"]
    assert set(faults({"audience": 1, "leeway": "1h", "publicKeys": [1]})) == {
        "jwt.audience",
        "jwt.leeway",
        "jwt.publicKeys",
    }
    body["authentication"] = "public"
    assert "authentication" in faults({"issuer": "x"})["jwt"]
