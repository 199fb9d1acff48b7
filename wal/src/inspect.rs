//! Offline: reads a log's files, writes nothing.
