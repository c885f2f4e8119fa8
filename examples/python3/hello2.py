def handle(context, payload):
    """The next version of hello.py."""
    return {"goodbye": (payload or {}).get("name", "somebody")}
