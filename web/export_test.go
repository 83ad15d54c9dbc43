package web

// NewPage serves a build of the test's own.
var NewPage = newPage
