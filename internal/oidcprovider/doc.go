// Package oidcprovider is a real OpenID Connect provider for tests: the one of the
// zitadel/oidc library, with the storage and the login form of its examples. Its
// keys can be rotated, and its ID tokens last as long as a test wants. It knows the
// client ClientID and the user Username, and keeps everything in memory.
package oidcprovider
