/* Starts the Cortex-M4F of mps2-an386, without a C library, and calls `check`, which compares
 * printed functions with the crate. */

#include <stdint.h>

int check(void (*say)(const char *));
void reset(void);

static int semihosting(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void say(const char *text)
{
    semihosting(0x04, text); /* SYS_WRITE0 */
}

void reset(void)
{
    volatile uint32_t *const coprocessors = (volatile uint32_t *)0xe000ed88u;
    uint32_t exit[2] = {0x20026u, 1u}; /* ADP_Stopped_ApplicationExit, and the exit code */

    *coprocessors |= 0xfu << 20; /* enables the floating-point unit */
    __asm__ volatile("dsb\n isb" ::: "memory");
    if (check(say) == 0) {
        say("same bits\n");
        exit[1] = 0u;
    }
    semihosting(0x20, exit); /* SYS_EXIT_EXTENDED */
    for (;;) {
    }
}

static void fault(void)
{
    uint32_t exit[2] = {0x20026u, 2u};
    say("fault\n");
    semihosting(0x20, exit);
    for (;;) {
    }
}

extern uint32_t stack_top;

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
