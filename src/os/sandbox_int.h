/* sandbox_int.h - the layers of the sandbox, each in its file. */
#ifndef PH_SANDBOX_INT_H
#define PH_SANDBOX_INT_H
#include "sandbox.h"

/* Sanitizers read /proc, and at exit stop their own threads by ptrace: a build with them is a test
 * build and lets them. */
#if defined(__SANITIZE_ADDRESS__)
#define PH__SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PH__SANITIZED 1
#endif
#endif
#ifndef PH__SANITIZED
#define PH__SANITIZED 0
#endif

/* Opens what the rules name while paths still mean what the caller meant. >= 0: a ruleset to give
 * to _enter; -PH_ENOTIMPL: the kernel has no Landlock. */
int ph__landlock_prepare(const struct ph_sandbox *s, struct ph_error *reterr);
int ph__landlock_enter(int ruleset, struct ph_error *reterr);
int ph__seccomp_enter(const struct ph_sandbox *s, struct ph_error *reterr);
#endif
