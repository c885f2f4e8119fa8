"""Which worker of pytest-xdist runs what. Its own groups (`--dist loadgroup`) do nothing with pytest 9.2,
whose node ids cannot be changed any more."""

from xdist.scheduler import LoadScopeScheduling

from .turns import lines


class ByFile(LoadScopeScheduling):
    """The tests of a file share its fixtures and a worker, and so do those that come last."""

    def __init__(self, config, log):
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self.last: set[str] = set()

    def schedule(self) -> None:
        # Every worker has collected. It writes to a folder of its own in this one.
        self.last = set(lines(self.config._tmp_path_factory.getbasetemp(), "last"))
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return "last" if nodeid in self.last else nodeid.partition("::")[0]
