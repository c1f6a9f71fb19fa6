/*
 * The init of guests (init/), linked into straddle as a static ELF program: init_elf.
 * vmm/test/init.S includes it.
 */
#ifndef TEST_INIT_H
#define TEST_INIT_H

#include <stdint.h>

extern const uint8_t init_elf[];
extern const uint64_t init_elf_size; /* bytes */

#endif
