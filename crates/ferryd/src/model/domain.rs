//! What is known of a domain on one host.
