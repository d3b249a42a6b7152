#pragma once
#include "models/moe/routing/profile_fit.hpp"

namespace specmoe {

/// Sets the profile's sharpness, between 0.5 and 2, by a damped bisection on generated runs. A likelihood looks one token ahead,
/// but a run feeds on its own choices, and tends to too few repetitions from token to token and to too many different
/// experts over many tokens. The sharper, the more of the first and the fewer of the second; at the sharpness
/// chosen, overlap with the token before and distinct experts of 64 consecutive decoded tokens (or of as many as
/// the longest request has) exceed the source's by about the same factor. On the way popularity is corrected.
/// @param source what the profile was fitted on
void calibrate_sharpness(RoutingProfile& profile, RoutingSource& source, const ProfileFit& options);

}  // namespace specmoe
