"""Reads every golden file of a shape with a reader or a schema that nobody here wrote.

OCSF: the compiled schema 1.8.0 in the package ocsf-json-schema, checked by jsonschema. ECS: the field list of the npm
package @elastic/ecs, given as JSON in the second argument. CEF: the parser pycef. What has no reader is on the list
not-read.txt; a line there that fits no file fails as well, so that the list stays true.

usage: read.py GOLDEN ECS_FIELDS
"""

import datetime
import fnmatch
import ipaddress
import json
import pathlib
import sys

import jsonschema
import pycef
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

golden, ecs_fields = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
listed = [
    line.split("\t")
    for line in (pathlib.Path(__file__).parent / "not-read.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def leaves(value, path=""):
    """Every value that is no object, by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def canonical(path):
    """The event that the golden file was made of."""
    return json.loads((golden / "canonical" / (path.stem + ".json")).read_text())


def check_type(path, kind, value):
    """Whether a value is what its field's type takes."""
    if kind == "ip":
        ipaddress.ip_address(value)
    elif kind == "date":
        datetime.datetime.fromisoformat(value)
    elif kind == "long":
        assert isinstance(value, int) and not isinstance(value, bool), f"{path} is no whole number: {value!r}"
    else:
        assert isinstance(value, str), f"{path} is no text: {value!r}"


def read_ecs(path):
    document = json.loads(path.read_text())
    assert document["event"]["id"] == canonical(path)["event_id"]
    for field, value in leaves(document):
        # The vendor's own root, and labels, which are anybody's.
        if field.startswith("scaidrive.") or field.startswith("labels."):
            continue
        known = ecs_fields.get(field)
        assert known, f"{field} is not a field of ECS"
        is_list = "array" in known["normalize"]
        assert isinstance(value, list) == is_list, f"{field}: a list where there should be none, or the other way round"
        for one in value if is_list else [value]:
            check_type(field, known["type"], one)
            allowed = [entry["name"] for entry in known.get("allowed_values", [])]
            assert not allowed or one in allowed, f"{field} is {one}"
    categories = {entry["name"]: entry["expected_event_types"] for entry in ecs_fields["event.category"]["allowed_values"]}
    expected = {kind for category in document["event"]["category"] for kind in categories[category]}
    assert set(document["event"]["type"]) <= expected, f"{document['event']['type']} are not types of the category"


ocsf = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))


def read_ocsf(path):
    event = json.loads(path.read_text())
    assert event["metadata"]["uid"] == canonical(path)["event_id"]
    schema = ocsf.get_class_schema(ocsf.lookup_class_name_from_uid(event["class_uid"]))
    problems = [f"{problem.json_path}: {problem.message}" for problem in jsonschema.Draft202012Validator(schema).iter_errors(event)]
    assert not problems, "; ".join(problems)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def undone(value):
    """A value of CEF without its escapes, which the parser leaves."""
    out, rest = "", iter(value)
    for character in rest:
        if character == "\\":
            character = {"n": "\n", "r": "\r"}.get(escaped := next(rest), escaped)
        out += character
    return out


def read_cef(path):
    line, event = path.read_text().rstrip("\n"), canonical(path)
    parsed = pycef.parse(line)
    assert parsed, "the parser takes it for no CEF"
    assert parsed["DeviceEventClassID"] == event["action"]
    assert 0 <= int(parsed["Severity"]) <= 10
    for key, field in [
        ("externalId", "event_id"), ("tenantId", "tenant_id"), ("cat", "category"), ("suid", "user_id"),
        ("serviceAccount", "service_account"), ("sessionId", "session_id"), ("fileId", "resource_id"),
        ("filePath", "resource_path"), ("requestClientApplication", "user_agent"),
    ]:
        expected = event.get(field) or ""
        found = undone(parsed.get(key, ""))
        is_cut = len(expected.encode()) > 1023 and expected.startswith(found) and found
        assert found == expected.strip(" ") or is_cut, f"{key} is {found!r}, not {expected!r}"
    for key in ["src", "Source IPv6 Address"]:
        if key in parsed:
            assert ipaddress.ip_address(parsed[key]).version == (4 if key == "src" else 6)
    if "payload" in parsed:
        json.loads(undone(parsed["payload"]))


def read_json(path):
    json.loads(path.read_text())


READERS = {"ecs": read_ecs, "ocsf": read_ocsf, "cef": read_cef, "canonical": read_json, "asim": read_json, "leef": lambda path: None}
passed, failed, unread, used = 0, 0, 0, set()
for path in sorted(golden.glob("*/*")):
    name = path.relative_to(golden).as_posix()
    reason = next((line for line in listed if fnmatch.fnmatch(name, line[0])), None)
    if reason:
        used.add(reason[0])
    # What is on the list for one shape's odd file is not read at all; where the whole shape is, JSON still is.
    if reason and path.parent.name == "cef":
        unread += 1
        continue
    try:
        READERS[path.parent.name](path)
    except Exception as problem:  # noqa: BLE001: whatever a reader raises is its judgement
        print(f"FAILED {name}: {type(problem).__name__}: {problem}")
        failed += 1
        continue
    if reason:
        unread += 1
    else:
        passed += 1
for pattern, _ in listed:
    if pattern not in used:
        print(f"FAILED not-read.txt: {pattern} fits no file")
        failed += 1
print(f"read by an independent reader: {passed}; on the list of those that are not: {unread}")
for pattern, reason in listed:
    print(f"  {pattern}: {reason}")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
