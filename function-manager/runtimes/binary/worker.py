"""Serves one executable: worker.py SOURCE IMAGE HANDLER (function-manager/README.md, Runtime).

HANDLER is the executable's path in the source; when it is empty, the only file. It is run for each
request, with {"context":...,"payload":...} on its standard input, and answers on its standard output
with {"payload":...} or {"context":{"error":{"type","message","stacktrace"}}}; its standard error is
its log. Frames on descriptor 3 are those of the other workers.
"""
import json
import os
import socket
import struct
import subprocess
import sys

HEADER = struct.Struct(">I")
ANSWER_BYTES = 16 * 1024 * 1024
ERROR_TYPES = ("InputError", "FunctionError", "SystemError")


def exactly(channel, size):
    parts = []
    while size > 0:
        data = channel.recv(min(size, 1 << 20))
        if not data:
            return None
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def send(channel, value):
    body = json.dumps(value, separators=(",", ":")).encode()
    channel.sendall(HEADER.pack(len(body)) + body)


def failure(message):
    return {"error": {"type": "FunctionError", "message": message, "stacktrace": []}}


def find(source, image, handler):
    """The path to run; raises OSError with words for its author."""
    if not handler:
        files = sorted(name for name in os.listdir(source) if os.path.isfile(os.path.join(source, name)))
        if len(files) != 1:
            raise OSError(f"the handler is not given and the source has {len(files)} files: name one")
        handler = files[0]
    path = os.path.normpath(os.path.join(source, handler))
    if not path.startswith(os.path.join(source, "")):
        raise OSError(f"the handler '{handler}' is outside the source")
    if not os.path.isfile(path):
        raise OSError(f"the source has no file '{handler}'")
    if not os.access(path, os.X_OK):
        raise OSError(f"the file '{handler}' is not executable: set its mode to 755 in the archive")
    if image:
        os.environ["DISPATCH_IMAGE"] = image
        os.environ["PATH"] = os.path.join(image, "bin") + ":" + os.environ["PATH"]
    return path


def run(path, body):
    try:
        process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        return failure(f"the executable does not start: {error.strerror}")
    try:
        process.stdin.write(body)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it needs no input
    text = process.stdout.read(ANSWER_BYTES + 1)
    if len(text) > ANSWER_BYTES:
        process.kill()
        process.wait()
        return failure(f"the executable's answer is larger than {ANSWER_BYTES} bytes")
    process.stdout.close()
    return interpret(text, process.wait())


def interpret(text, code):
    if code != 0:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return failure(f"the executable ended with {how}")
    try:
        answer = json.loads(text)
    except ValueError as error:
        return failure(f"the executable's answer is no JSON: {error}")
    if not isinstance(answer, dict):
        return failure('the executable\'s answer is no object: it must be {"payload": ...}')
    context = answer.get("context")
    error = context.get("error") if isinstance(context, dict) else None
    if isinstance(error, dict):
        kind = error.get("type")
        trace = error.get("stacktrace")
        return {"error": {
            "type": kind if kind in ERROR_TYPES[:2] else "FunctionError",
            "message": str(error.get("message", "")),
            "stacktrace": [str(line) for line in trace] if isinstance(trace, list) else []}}
    return {"payload": answer.get("payload")}


def main():
    source, image, handler = sys.argv[1:4]
    channel = socket.socket(fileno=os.dup(3))  # not inherited by the executable
    os.close(3)
    send(channel, {"hello": True})
    try:
        path = find(source, image, handler)
    except OSError as error:
        send(channel, {"failed": failure(str(error))["error"]})
        return
    send(channel, {"ready": True})
    while (header := exactly(channel, HEADER.size)) is not None:
        body = exactly(channel, HEADER.unpack(header)[0])
        if body is None:
            return
        send(channel, run(path, body))


main()
