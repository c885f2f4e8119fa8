"""The OpenAPI document against the running gateway, and against every answer of this run."""

import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from lib.stack import ROOT

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document(admin) -> dict:
    return admin.with_key(None).get("/v1/openapi.json", expect=200).json()


def resolve(document: dict, node: dict) -> dict:
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


@pytest.fixture(scope="module")
def operations(document) -> dict:
    """(method, path template) -> operation."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in resolve(document, item).items()
        if method in METHODS
    }


@pytest.fixture(scope="module")
def find(operations):
    patterns = [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), method, path) for method, path in operations
    ]
    # The most literal one first, as the router has it.
    patterns.sort(key=lambda entry: entry[2].count("{"))

    def find(method: str, path: str):
        for pattern, known, template in patterns:
            if known == method and pattern.fullmatch(path):
                return known, template
        return None

    return find


def test_served_document_is_the_one_in_the_repository(document):
    parts = [yaml.safe_load(p.read_text()) for p in (ROOT / "api-gateway/openapi").glob("*.yaml")]
    for at in (["paths"], ["components", "schemas"]):
        mine = document
        theirs = parts
        for key in at:
            mine = mine[key]
            theirs = [part.get(key, {}) for part in theirs]
        assert mine == {name: value for part in theirs for name, value in part.items()}


def test_every_operation_answers_and_wants_a_key_unless_it_says_so(admin, document, operations):
    nobody = admin.with_key(None)
    for (method, template), operation in operations.items():
        path = re.sub(r"\{\w+\}", "0", template)
        answer = nobody.request(method, path, json={})
        open_to_all = operation.get("security", document["security"]) == []
        assert answer.status_code == (200 if open_to_all else 401), f"{method} {template}"


def is_whole_run(request) -> bool:
    ran = {item.path.name for item in request.session.items}
    chosen = request.config.option.keyword or request.config.option.markexpr
    return not chosen and ran == {path.name for path in Path(__file__).parent.glob("test_*.py")}


@pytest.mark.whole_run
def test_every_operation_succeeded_in_this_run(request, operations, exchanges, find):
    if not is_whole_run(request):
        pytest.skip("only some tests ran")
    succeeded = {find(e.method, e.path) for e in exchanges if 200 <= e.status < 300}
    assert sorted(set(operations) - succeeded) == []


@pytest.mark.whole_run
def test_every_answer_of_this_run_has_a_documented_status(document, operations, exchanges, find):
    undocumented = set()
    for e in exchanges:
        operation = find(e.method, e.path)
        if operation and str(e.status) not in operations[operation]["responses"]:
            undocumented.add((*operation, e.status))
    assert sorted(undocumented) == []


@pytest.mark.whole_run
def test_every_answer_of_this_run_fits_its_schema(document, operations, exchanges, find):
    registry = jsonschema_rs.Registry(
        [("urn:dispatch", document)], draft=jsonschema_rs.Draft202012
    )
    validators, faults = {}, {}
    for e in exchanges:
        operation = find(e.method, e.path)
        if operation is None or e.body is None:
            continue
        response = resolve(document, operations[operation]["responses"].get(str(e.status), {}))
        media = response.get("content", {}).get("application/json")
        if media is None:
            continue
        at = (*operation, e.status)
        if at not in validators:
            absolute = rewrite(media["schema"])
            validators[at] = jsonschema_rs.Draft202012Validator(absolute, registry=registry)
        for fault in () if at in faults else validators[at].iter_errors(e.body):
            place = "/".join(str(step) for step in fault.instance_path)
            faults.setdefault(at, f"{place}: {fault.message}"[:300])
    assert faults == {}


def rewrite(schema):
    """References into the document become absolute."""
    if isinstance(schema, dict):
        return {
            key: "urn:dispatch" + value if key == "$ref" else rewrite(value)
            for key, value in schema.items()
        }
    return [rewrite(item) for item in schema] if isinstance(schema, list) else schema
