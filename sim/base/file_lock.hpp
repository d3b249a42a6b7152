#pragma once

namespace specmoe {

/// Locks an open file for this process and the children it forks; the lock ends with the last of them. Whoever was just
/// killed leaves children for some milliseconds, so it is waited for, two seconds at most.
/// @return whether the lock was had
bool lock_file(int file);

}  // namespace specmoe
