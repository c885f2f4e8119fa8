"""Serves one Python function: worker.py SOURCE IMAGE HANDLER (function-manager/README.md, Runtime).

Speaks frames (4 bytes of length, big-endian, and JSON) on descriptor 3. HANDLER is module.function;
when it is empty, `handle` of the only source file.
"""
import importlib
import inspect
import json
import os
import socket
import struct
import sys
import traceback

HEADER = struct.Struct(">I")


class Channel:
    def __init__(self, descriptor):
        self._socket = socket.socket(fileno=os.dup(descriptor))  # not inherited by children
        os.close(descriptor)

    def send(self, value):
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        body = text.encode("utf-8", "surrogatepass")
        self._socket.sendall(HEADER.pack(len(body)) + body)

    def receive(self):
        """The next request, or None when the service is gone."""
        header = self._exactly(HEADER.size)
        if header is None:
            return None
        body = self._exactly(HEADER.unpack(header)[0])
        return None if body is None else json.loads(body)

    def _exactly(self, size):
        data = self._socket.recv(size)
        if len(data) == size:
            return data
        parts = [data]
        left = size - len(data)
        while left > 0 and data:
            data = self._socket.recv(min(left, 1 << 20))
            parts.append(data)
            left -= len(data)
        return b"".join(parts) if left == 0 else None


def describe(kind, error, skip):
    """An error as the contract has it, with the stack of the function's own code."""
    # A name of our own here would be one more frame of the trace.
    trace = error.__traceback__
    for _ in range(skip):
        trace = trace.tb_next if trace is not None else None
    lines = traceback.format_exception(type(error), error, trace, limit=-32)
    message = str(error) or type(error).__name__
    return {"type": kind, "message": message, "stacktrace": "".join(lines).splitlines()}


def only_file(source):
    files = [name for name in sorted(os.listdir(source)) if name.endswith(".py")]
    if len(files) != 1:
        raise LookupError(
            f"the handler is not given and the source has {len(files)} Python files: "
            "name it as module.function")
    return files[0][:-3] + ".handle"


def load(source, image, handler):
    """The function; raises with words for its author."""
    sys.path.insert(0, source)
    if image:
        sys.path.append(os.path.join(image, "lib"))
    handler = handler or only_file(source)
    module_name, _, name = handler.rpartition(".")
    if not module_name:
        raise LookupError(f"the handler '{handler}' is not of the form module.function")
    # A file may well be named as a module of the standard library is that this worker has loaded.
    if os.path.exists(os.path.join(source, *module_name.split(".")) + ".py"):
        sys.modules.pop(module_name, None)
    module = importlib.import_module(module_name)
    function = getattr(module, name, None)
    if function is None:
        raise LookupError(f"the module {module_name} has no function '{name}'")
    if not callable(function):
        raise TypeError(f"{handler} is no function")
    check_arguments(handler, function)
    return function


def check_arguments(handler, function):
    try:
        arguments = inspect.getfullargspec(function).args
    except TypeError as error:
        raise TypeError(f"the arguments of {handler} cannot be seen: {error}") from None
    count = len(arguments) - (1 if inspect.ismethod(function) else 0)
    if count != 2:
        raise TypeError(f"{handler} takes {count} arguments instead of 2: (context, payload)")


def call(function, request):
    try:
        return {"payload": function(request["context"], request["payload"])}
    except (ValueError, TypeError) as error:
        return {"error": describe("InputError", error, 1)}
    except SystemExit as error:
        return {"error": describe("FunctionError", RuntimeError(f"the function called exit({error})"), 0)}
    except BaseException as error:  # whatever it raises is its answer, not our end
        return {"error": describe("FunctionError", error, 1)}


def serve(channel, function):
    while True:
        request = channel.receive()
        if request is None:
            return
        answer = call(function, request)
        request = None
        flush()
        try:
            channel.send(answer)
        except (TypeError, ValueError, RecursionError) as error:
            message = f"the function's answer is no JSON: {error}"
            channel.send({"error": {"type": "FunctionError", "message": message, "stacktrace": []}})


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the function closed or replaced it


def main():
    source, image, handler = sys.argv[1:4]
    channel = Channel(3)
    channel.send({"hello": True})
    # Lines leave at once, so that they are there when the worker is killed at its deadline.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.argv = [handler]
    try:
        function = load(source, image, handler)
    except BaseException as error:
        flush()
        channel.send({"failed": describe("FunctionError", error, 0)})
        return
    flush()
    channel.send({"ready": True})
    serve(channel, function)


main()
