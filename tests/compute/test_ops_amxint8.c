/* SPDX-License-Identifier: MIT */
/* test_ops_amxint8.c - test_ops_amx.c for the linear layers of 8-bit operands. */
#define TEST_OPS_AMXINT8
#include "test_ops_amx.c"
