#pragma once

#include <string>

namespace dispatch {

/// SpawnSpec::name of a sandbox of this process, by which it is found when the process is gone.
std::string SandboxName();

/// Ends the sandboxes of processes of this machine that are gone, and waits until none is left.
/// bubblewrap's --die-with-parent sees no parent that dies while the sandbox is set up, which takes
/// tens of milliseconds: what runs inside would stay for as long as it likes.
void KillOrphanedSandboxes();

}  // namespace dispatch
