/*
 * copy.c - copies to and from program memory that may be unmapped
 *
 * The kernel answers a bad address with EFAULT; so do we, at the price of nothing on the good
 * path: a copy is made by one routine of our own, and if it faults, the handler of SIGSEGV and
 * SIGBUS (signal.c) asks shim_copy_fixup(), which lets it return -EFAULT. On machines for which
 * we have no such routine a sigsetjmp in thread-local storage does the same, slower.
 */
#include <string.h>
#include <ucontext.h>

#include "posix/shim.h"

#if defined(__x86_64__)

/*
 * long copy(void *dst, const void *src, size_t len): 0 or -EFAULT. Short ones by moves that overlap,
 * long ones by the string instruction (fast from a few hundred bytes on). It leaves the stack alone,
 * so the landing can return from anywhere in it.
 */
long shim_copy_routine(void *dst, const void *src, size_t len);
extern const char shim_copy_end[], shim_copy_landing[];
__asm__(".text\n"
	".p2align 6\n"
	".hidden shim_copy_routine, shim_copy_end, shim_copy_landing\n"
	".globl shim_copy_routine, shim_copy_end, shim_copy_landing\n"
	".type shim_copy_routine, @function\n"
	"shim_copy_routine:\n"
	"	.cfi_startproc\n"
	"	cmp $16, %rdx\n"
	"	jb 3f\n"
	"	cmp $512, %rdx\n"
	"	ja 2f\n"
	"	movdqu -16(%rsi,%rdx), %xmm1\n" /* the tail, which may overlap the last round */
	"	lea -16(%rdx), %rcx\n"
	"	xor %eax, %eax\n"
	"1:	cmp %rcx, %rax\n"
	"	jae 7f\n"
	"	movdqu (%rsi,%rax), %xmm0\n"
	"	movdqu %xmm0, (%rdi,%rax)\n"
	"	add $16, %rax\n"
	"	jmp 1b\n"
	"7:	movdqu %xmm1, -16(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"2:	mov %rdx, %rcx\n"
	"	rep movsb\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"3:	cmp $8, %rdx\n"
	"	jb 4f\n"
	"	mov (%rsi), %rax\n"
	"	mov -8(%rsi,%rdx), %rcx\n"
	"	mov %rax, (%rdi)\n"
	"	mov %rcx, -8(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"4:	cmp $4, %rdx\n"
	"	jb 8f\n"
	"	mov (%rsi), %eax\n"
	"	mov -4(%rsi,%rdx), %ecx\n"
	"	mov %eax, (%rdi)\n"
	"	mov %ecx, -4(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"8:	xor %ecx, %ecx\n"
	"5:	cmp %rdx, %rcx\n"
	"	jae 6f\n"
	"	movzbl (%rsi,%rcx), %eax\n"
	"	mov %al, (%rdi,%rcx)\n"
	"	inc %rcx\n"
	"	jmp 5b\n"
	"6:	xor %eax, %eax\n"
	"	ret\n"
	"shim_copy_end:\n"
	"shim_copy_landing:\n"
	"	mov $-14, %rax\n" /* -EFAULT */
	"	ret\n"
	"	.cfi_endproc\n"
	".size shim_copy_routine, . - shim_copy_routine\n");

static inline int copy(void *dst, const void *src, size_t len)
{
	return (int)shim_copy_routine(dst, src, len);
}

bool shim_copy_fixup(void *ucontext)
{
	ucontext_t *uc = ucontext;
	uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	if (pc < (uintptr_t)shim_copy_routine || pc >= (uintptr_t)shim_copy_end)
		return false;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)shim_copy_landing;
	return true;
}

#else

#include <setjmp.h>

static __thread sigjmp_buf landing;
static __thread volatile bool copying;

static int copy(void *dst, const void *src, size_t len)
{
	if (sigsetjmp(landing, 1)) {
		copying = false;
		return -EFAULT;
	}
	copying = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(dst, src, len);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	copying = false;
	return 0;
}

bool shim_copy_fixup(void *ucontext)
{
	(void)ucontext;
	if (!copying)
		return false;
	siglongjmp(landing, 1);
}

#endif

int shim_copy_in(void *dst, const void *user, size_t len)
{
	return copy(dst, user, len);
}

int shim_copy_out(void *user, const void *src, size_t len)
{
	return copy(user, src, len);
}
