//! Run folders stay whole when others delete, lock and limit them.
