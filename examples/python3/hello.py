import sys


def handle(context, payload):
    """Greets {"name": ...}. ValueError and TypeError are the caller's fault: an InputError."""
    name = (payload or {}).get("name", "somebody")
    if not name:
        raise ValueError("name is empty")
    print(f"greeting {name}")
    if "event" in context:
        print(f"by an event of type {context['event']['eventType']}", file=sys.stderr)
    greeting = {"hello": name}
    if "greeting" in context["secrets"]:
        greeting["says"] = context["secrets"]["greeting"]
    return greeting
