#include "common/process/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

namespace dispatch {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArch = 0;
#endif

// Numbers that not every kernel header has.
constexpr uint32_t kOpenTree = 428;
constexpr uint32_t kMountSetattr = 442;
constexpr uint32_t kIoUringSetup = 425;
constexpr uint32_t kIoUringEnter = 426;
constexpr uint32_t kIoUringRegister = 427;
constexpr uint32_t kPidfdGetfd = 438;
constexpr uint32_t kProcessMadvise = 440;
constexpr uint32_t kMemfdSecret = 447;
constexpr uint32_t kMapSharedAnonymous = MAP_SHARED | MAP_ANONYMOUS;

constexpr uint32_t kDenied[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, kPidfdGetfd, kProcessMadvise,
    // Mounts and roots
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, kOpenTree, SYS_move_mount, SYS_fsopen,
    SYS_fsconfig, SYS_fsmount, SYS_fspick, kMountSetattr, SYS_open_by_handle_at,
    SYS_name_to_handle_at, SYS_quotactl, SYS_swapon, SYS_swapoff,
    // Namespaces
    SYS_unshare, SYS_setns,
    // The kernel, its interfaces with a history, and the machine
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, kIoUringSetup, kIoUringEnter, kIoUringRegister,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load,
    SYS_reboot, SYS_syslog, SYS_acct, SYS_personality, SYS_vhangup, SYS_lookup_dcookie,
    SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname,
    SYS_setdomainname, SYS_fanotify_init,
#if defined(__x86_64__)
    SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_ustat, SYS_sysfs, SYS__sysctl,
#endif
    // Keys
    SYS_keyctl, SYS_add_key, SYS_request_key,
    // Memory that RLIMIT_AS and RLIMIT_DATA do not see
    SYS_memfd_create, kMemfdSecret, SYS_shmget, SYS_msgget};

constexpr uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                 CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;
constexpr uint32_t kFail = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;

/// Low half of an argument; both processors are little-endian.
constexpr uint32_t Argument(int index) {
  return offsetof(seccomp_data, args) + static_cast<uint32_t>(index) * sizeof(uint64_t);
}

class Program {
 public:
  void Load(uint32_t offset) { code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); }
  void Return(uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }
  void LoadCall() { Load(offsetof(seccomp_data, nr)); }
  /// `action` when what was loaded is `value`.
  void ReturnIf(uint32_t value, uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    Return(action);
  }
  void ReturnUnless(uint32_t value, uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    Return(action);
  }
  /// The next `count` statements only for the system call `call`; then it must be loaded.
  void SkipUnless(uint32_t call, uint8_t count) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, count));
  }
  void ReturnIfAnyBit(uint32_t bits, uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
    Return(action);
  }
  void And(uint32_t bits) { code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits)); }

  std::string Bytes() const {
    return {reinterpret_cast<const char*>(code_.data()), code_.size() * sizeof(sock_filter)};
  }

 private:
  std::vector<sock_filter> code_;
};

}  // namespace

Result<std::string> SeccompProgram(bool network) {
  if (kArch == 0) return {Code::kUnavailable, "the system call filter knows x86-64 and ARM64 only"};
  Program program;
  program.Load(offsetof(seccomp_data, arch));
  program.ReturnUnless(kArch, SECCOMP_RET_KILL_PROCESS);
  program.LoadCall();
#if defined(__x86_64__)
  program.ReturnIfAnyBit(0x40000000, kFail);  // the x32 calls, which have numbers of their own
#endif
  for (uint32_t call : kDenied) program.ReturnIf(call, kFail);
  program.ReturnIf(SYS_clone3, kNoSuchCall);  // its flags are in memory; libraries then use clone

  program.SkipUnless(SYS_clone, 4);
  program.Load(Argument(0));
  program.ReturnIfAnyBit(kNamespaces, kFail);
  program.Return(SECCOMP_RET_ALLOW);

  // TIOCSTI types into the terminal of whoever started the service.
  program.SkipUnless(SYS_ioctl, 4);
  program.Load(Argument(1));
  program.ReturnIf(0x5412, kFail);
  program.Return(SECCOMP_RET_ALLOW);

  program.SkipUnless(SYS_mmap, 5);
  program.Load(Argument(3));
  program.And(kMapSharedAnonymous);
  program.ReturnIf(kMapSharedAnonymous, kFail);
  program.Return(SECCOMP_RET_ALLOW);

  std::vector<uint32_t> families = {AF_UNIX};
  if (network) families.insert(families.end(), {AF_INET, AF_INET6, AF_NETLINK});
  program.SkipUnless(SYS_socket, static_cast<uint8_t>(2 + 2 * families.size()));
  program.Load(Argument(0));
  for (uint32_t family : families) program.ReturnIf(family, SECCOMP_RET_ALLOW);
  program.Return(SECCOMP_RET_ERRNO | EACCES);

  program.Return(SECCOMP_RET_ALLOW);
  return program.Bytes();
}

Result<Fd> SeccompFile(const std::string& program) {
  Fd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file ||
      write(file.get(), program.data(), program.size()) != static_cast<ssize_t>(program.size()) ||
      lseek(file.get(), 0, SEEK_SET) != 0) {
    return {Code::kUnavailable, std::string("cannot keep the filter: ") + std::strerror(errno)};
  }
  return file;
}

}  // namespace dispatch
