package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/auth/ticket"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/handlers"
)

// Values of Settings.Auth.
const (
	AuthNone     = "none"
	AuthFirebase = "firebase"
	AuthOIDC     = "oidc"
)

// Values of Settings.Policy.
const (
	PolicyOpen          = "open"
	PolicyAuthenticated = "authenticated"
	PolicyMembers       = "members"
)

// access is who may call, and what for.
type access struct {
	authenticator auth.Authenticator
	policy        auth.Policy
	members       *members.Policy // nil with another policy
	tickets       *ticket.Tickets
	invoker       auth.Authenticator // of POST /api/gc, nil if nobody is
	// close waits for what fetches keys.
	close func()
}

// access makes what the settings say, but for a policy that needs the store: that
// comes with goBy. It makes no connection.
func (s *Settings) access(log *slog.Logger) (access, error) {
	a := access{policy: auth.Open{}}
	if s.Policy == PolicyAuthenticated {
		a.policy = auth.Authenticated{}
	}
	var err error
	if a.tickets, err = s.tickets(log); err != nil {
		return access{}, err
	}
	if a.authenticator, a.close, err = s.authenticator(log); err != nil {
		return access{}, err
	}
	err = s.addInvoker(&a, log)
	return a, err
}

// goBy makes the policy that needs the store, if that is the one of the settings.
func (a *access) goBy(s *Settings, d members.Directory) {
	if s.Policy == PolicyMembers {
		a.members = members.New(d, members.Options{MaxSpaces: s.MaxSpacesPerUser})
		a.policy = a.members
	}
}

func (s *Settings) authenticator(log *slog.Logger) (auth.Authenticator, func(), error) {
	switch s.Auth {
	case AuthFirebase:
		f, err := token.NewFirebase(token.FirebaseConfig{
			ProjectID: s.firebaseProject(), Tenant: s.FirebaseTenant, Logger: log,
			Emulator: s.AuthEmulatorHost != "",
		})
		if err != nil {
			return nil, nil, err
		}
		return f, f.Close, nil
	case AuthOIDC:
		o, err := token.NewOIDC(token.OIDCConfig{
			Issuer: s.OIDCIssuer, Audience: s.OIDCAudience, Algorithms: s.OIDCAlgorithms,
			UserClaim: s.OIDCUserClaim, Logger: log,
		})
		if err != nil {
			return nil, nil, err
		}
		return o, o.Close, nil
	default:
		return auth.None{}, func() {}, nil
	}
}

// firebaseProject is that of the database unless another one is named.
func (s *Settings) firebaseProject() string {
	if s.FirebaseProject != "" {
		return s.FirebaseProject
	}
	return s.ProjectID
}

// tickets signs with the keys of the settings; nil where there are none, which
// leaves it to the handler.
func (s *Settings) tickets(log *slog.Logger) (*ticket.Tickets, error) {
	if s.TicketKeysFile != "" {
		tickets, err := ticket.FromFile(s.TicketKeysFile, time.Now, log)
		if err != nil {
			return nil, fmt.Errorf("REPLIFIRE_TICKET_KEYS_FILE: %w", err)
		}
		return tickets, nil
	}
	if s.TicketKeys == "" {
		return nil, nil
	}
	keys, err := ticket.ParseKeys(s.TicketKeys)
	if err != nil {
		return nil, fmt.Errorf("REPLIFIRE_TICKET_KEYS: %w", err)
	}
	return ticket.New(keys, time.Now)
}

// checkAccess reports what is wrong with the settings of sign-in and policy.
func (s *Settings) checkAccess() error {
	return errors.Join(
		checkKnown("REPLIFIRE_AUTH", s.Auth, AuthNone, AuthFirebase, AuthOIDC),
		checkKnown("REPLIFIRE_POLICY", s.Policy, PolicyOpen, PolicyAuthenticated, PolicyMembers),
		s.checkOrigins(),
		s.checkSignIn(),
	)
}

func (s *Settings) checkOrigins() error {
	if err := handlers.CheckOrigins(s.Origins, s.Dev); err != nil {
		return fmt.Errorf("REPLIFIRE_ORIGINS: %w", err)
	}
	return nil
}

func (s *Settings) checkSignIn() error {
	switch {
	case s.Auth == AuthFirebase && s.firebaseProject() == "":
		return errors.New("REPLIFIRE_AUTH=firebase needs a project: set" +
			" REPLIFIRE_FIREBASE_PROJECT or GOOGLE_CLOUD_PROJECT")
	case s.Auth == AuthOIDC && (s.OIDCIssuer == "" || s.OIDCAudience == ""):
		return errors.New("REPLIFIRE_AUTH=oidc needs REPLIFIRE_OIDC_ISSUER and REPLIFIRE_OIDC_AUDIENCE")
	case s.Auth == AuthNone && (s.Policy == PolicyAuthenticated || s.Policy == PolicyMembers):
		return fmt.Errorf("REPLIFIRE_POLICY=%s lets nobody in while REPLIFIRE_AUTH is none", s.Policy)
	}
	if s.Auth != AuthOIDC {
		return nil
	}
	if u, err := url.Parse(s.OIDCIssuer); err != nil || u.Host == "" || !strings.HasPrefix(u.Scheme, "http") {
		return errors.New("REPLIFIRE_OIDC_ISSUER must be a URL such as https://login.example.com")
	}
	return nil
}
