// The gradient of the weights of a 3x3 convolution by minimal filtering: F(4x4, 3x3) read backwards, which takes a
// quarter of the multiplications, too.
#pragma once

#include "winograd.h"

namespace steergan {

// x [N, H, W, in], gradient g [N, H, W, out] -> weights [out, in, 3, 3]. Sums do not depend on the number of threads.
void launch_winograd_weights(const Winograd& a, const float* x, const float* g, float* weights);

}  // namespace steergan
