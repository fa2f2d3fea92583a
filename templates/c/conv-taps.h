/* Passes of every number of taps. */
#ifndef MTAC_CONV_TAPS_H
#define MTAC_CONV_TAPS_H

#include "conv-pass.h"

DEFINE_CONV(1)
DEFINE_CONV(2)
DEFINE_CONV(3)
DEFINE_CONV(4)
DEFINE_CONV(5)
DEFINE_CONV(6)
DEFINE_CONV(7)
DEFINE_CONV(8)

static void conv_taps(int taps, const struct conv_pass *pass) {
  switch (taps) {
    case 1:
      conv_1(pass);
      break;
    case 2:
      conv_2(pass);
      break;
    case 3:
      conv_3(pass);
      break;
    case 4:
      conv_4(pass);
      break;
    case 5:
      conv_5(pass);
      break;
    case 6:
      conv_6(pass);
      break;
    case 7:
      conv_7(pass);
      break;
    default:
      conv_8(pass);
  }
}

#endif
