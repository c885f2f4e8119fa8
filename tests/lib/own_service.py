"""A service of the stack that a test module runs itself for a while, with settings of its own."""

from .wait import eventually


class OwnService:
    def __init__(self, stack, service: str, **settings: str):
        self.stack, self.service, self.settings = stack, service, settings
        self.process = stack.start_as_child(service, **settings)
        self.await_ready()

    def await_ready(self):
        eventually(lambda: self.stack.is_ready(self.service), f"{self.service} is ready", 30)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def start(self):
        arguments, environment = self.stack._command(self.service)
        environment.update({key.encode(): value.encode() for key, value in self.settings.items()})
        self.process = self.stack._spawn(self.service, arguments, environment)
        self.await_ready()

    def kill_and_start(self):
        self.kill()
        self.start()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.stack.restart(self.service)
