//! Black-box tests of Fairway.
