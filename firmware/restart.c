#include "firmware/restart.h"

#include "vmm/base/platform.h"

#include <assert.h>
#include <string.h>

void restart_code(uint8_t code[RESTART_SIZE])
{
	static const uint8_t real_mode[] = {
		0xba,
		PORT_RESET & 0xff,
		PORT_RESET >> 8, /* mov dx, PORT_RESET */
		0xb0,
		RESET_NOW, /* mov al, RESET_NOW */
		0xee,	   /* out dx, al */
		0xfa,	   /* cli */
		0xf4,	   /* hlt, until the others have stopped */
		0xeb,
		0xfd, /* jmp to the hlt */
	};

	static_assert(sizeof(real_mode) <= RESTART_SIZE, "it ends at 1 MiB");
	memset(code, 0, RESTART_SIZE);
	memcpy(code, real_mode, sizeof(real_mode));
}
