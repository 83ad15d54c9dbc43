package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values of Settings.Store.
const (
	StoreFirestore = "firestore"
	StoreMemory    = "memory"
)

// Values of Settings.LogFormat.
const (
	LogAuto = "auto"
	LogJSON = "json"
	LogText = "text"
)

// FirestoreSettings say which database holds the spaces. They are part of
// Settings and all that the operators' commands need.
type FirestoreSettings struct {
	ProjectID    string `name:"project" env:"GOOGLE_CLOUD_PROJECT" group:"data" placeholder:"ID"`
	Database     string `env:"FIRESTORE_DATABASE" group:"data" default:"(default)"`
	EmulatorHost string `env:"FIRESTORE_EMULATOR_HOST" group:"data" placeholder:"HOST:PORT"`
}

// Settings are everything that can be set: here with name, environment variable
// and default, in help.go with what it means. A zero Settings is not complete:
// take SettingsFromEnv or ParseSettings.
type Settings struct {
	Host string `env:"REPLIFIRE_HOST" group:"listen" placeholder:"NAME"`
	Port int    `env:"PORT" group:"listen" default:"8080"`

	Store             string `env:"REPLIFIRE_STORE" group:"data" enum:"firestore,memory" default:"firestore"`
	FirestoreSettings `embed:""`

	Auth             string   `env:"REPLIFIRE_AUTH" group:"access" default:"none"`
	Policy           string   `env:"REPLIFIRE_POLICY" group:"access" default:"open"`
	FirebaseProject  string   `env:"REPLIFIRE_FIREBASE_PROJECT" group:"access" placeholder:"ID"`
	FirebaseTenant   string   `env:"REPLIFIRE_FIREBASE_TENANT" group:"access" placeholder:"ID"`
	AuthEmulatorHost string   `env:"FIREBASE_AUTH_EMULATOR_HOST" group:"access" placeholder:"HOST:PORT"`
	OIDCIssuer       string   `name:"oidc-issuer" env:"REPLIFIRE_OIDC_ISSUER" group:"access" placeholder:"URL"`
	OIDCAudience     string   `name:"oidc-audience" env:"REPLIFIRE_OIDC_AUDIENCE" group:"access" placeholder:"ID"`
	OIDCAlgorithms   []string `name:"oidc-algorithms" env:"REPLIFIRE_OIDC_ALGORITHMS" group:"access" default:"RS256"`
	OIDCUserClaim    string   `name:"oidc-user-claim" env:"REPLIFIRE_OIDC_USER_CLAIM" group:"access" default:"sub"`
	TicketKeysFile   string   `env:"REPLIFIRE_TICKET_KEYS_FILE" group:"access" placeholder:"FILE"`

	// TicketKeys is no flag, since every user of a machine can read the arguments of its
	// processes.
	TicketKeys string `kong:"-" env:"REPLIFIRE_TICKET_KEYS"`

	Origins     []string `env:"REPLIFIRE_ORIGINS" group:"access" placeholder:"ORIGIN"`
	Dev         bool     `env:"REPLIFIRE_DEV" group:"access"`
	AllowUnsafe bool     `env:"REPLIFIRE_ALLOW_UNSAFE" group:"access"`

	MaxSpacesPerUser int `env:"REPLIFIRE_MAX_SPACES_PER_USER" group:"limits" default:"100"`

	SchemaVersions []string      `env:"REPLIFIRE_SCHEMA_VERSIONS" group:"limits" placeholder:"VERSION"`
	PushTimeout    time.Duration `env:"REPLIFIRE_PUSH_TIMEOUT" group:"limits" default:"30s"`
	PullMaxAge     time.Duration `env:"REPLIFIRE_PULL_MAX_AGE" group:"limits" default:"0s"`
	Heartbeat      time.Duration `env:"REPLIFIRE_HEARTBEAT" group:"limits" default:"20s"`
	StreamLife     time.Duration `env:"REPLIFIRE_STREAM_LIFE" group:"limits" default:"50m"`
	DrainTimeout   time.Duration `env:"REPLIFIRE_DRAIN_TIMEOUT" group:"limits" default:"8s"`

	LimitSettings `embed:""`
	GCSettings    `embed:""`

	LogLevel  slog.Level `env:"REPLIFIRE_LOG_LEVEL" group:"log" default:"info"`
	LogFormat string     `env:"REPLIFIRE_LOG_FORMAT" group:"log" enum:"auto,json,text" default:"auto"`

	// Service is set by Cloud Run: by nothing else do we know that it is Cloud Run.
	Service string `name:"k-service" env:"K_SERVICE" hidden:""`
}

// BeforeApply is kong's hook, and takes what is no flag from the environment.
func (s *Settings) BeforeApply(variable variables) error {
	s.TicketKeys = variable("REPLIFIRE_TICKET_KEYS")
	return nil
}

// Address is what to listen on, as net.Listen takes it.
func (s *Settings) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// textLog reports whether the log is for people.
func (s *Settings) textLog() bool {
	return s.LogFormat == LogText || s.LogFormat == LogAuto && s.Dev
}

// Validate reports everything that is wrong with the settings, in words that say
// what to do about it. It looks at nothing outside of them.
func (s *Settings) Validate() error {
	return errors.Join(
		s.checkListening(),
		s.checkStore(),
		s.checkAccess(),
		s.checkTimes(),
		checkList("REPLIFIRE_SCHEMA_VERSIONS", s.SchemaVersions),
		checkList("REPLIFIRE_OIDC_ALGORITHMS", s.OIDCAlgorithms),
		s.LimitSettings.check(),
		s.GCSettings.check(),
		s.checkCloudRun(),
	)
}

func (s *Settings) checkListening() error {
	if s.Port < 0 || s.Port > 65535 {
		return fmt.Errorf("PORT is %d: it must be between 0 and 65535", s.Port)
	}
	return nil
}

func (s *Settings) checkStore() error {
	if s.Store == StoreMemory {
		return nil
	}
	return s.CheckDatabase()
}

// CheckDatabase reports a missing project: it is never guessed, since a guess could be
// somebody's production.
func (f *FirestoreSettings) CheckDatabase() error {
	if f.ProjectID == "" {
		return errors.New("the Firestore store needs a project:" +
			" set GOOGLE_CLOUD_PROJECT or --project")
	}
	return nil
}

// checkKnown accepts the values that exist.
func checkKnown(name, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return fmt.Errorf("%s is %q: it must be one of %s", name, value, strings.Join(known, ", "))
}

// checkList finds spaces around the elements of a list, which would be part of them.
func checkList(name string, list []string) error {
	for _, element := range list {
		if element != strings.TrimSpace(element) {
			return fmt.Errorf("%s has %q: write the commas without spaces", name, element)
		}
	}
	return nil
}

// checkTimes reports times that nothing can work with.
func (s *Settings) checkTimes() error {
	if s.PullMaxAge < 0 {
		return errors.New("REPLIFIRE_PULL_MAX_AGE must not be less than 0")
	}
	if s.MaxSpacesPerUser < 0 {
		return errors.New("REPLIFIRE_MAX_SPACES_PER_USER must not be less than 0")
	}
	return cmp.Or(
		positive("REPLIFIRE_PUSH_TIMEOUT", int64(s.PushTimeout)),
		positive("REPLIFIRE_HEARTBEAT", int64(s.Heartbeat)),
		positive("REPLIFIRE_STREAM_LIFE", int64(s.StreamLife)),
		positive("REPLIFIRE_DRAIN_TIMEOUT", int64(s.DrainTimeout)),
	)
}

// checkCloudRun refuses what must not be on the open internet by accident. The
// emulator is refused for good: it has no rules, no disk and no limits.
func (s *Settings) checkCloudRun() error {
	if s.Service == "" {
		return nil
	}
	if s.EmulatorHost != "" {
		return errors.New("FIRESTORE_EMULATOR_HOST is set on Cloud Run (K_SERVICE is set):" +
			" unset it, the emulator keeps nothing")
	}
	if s.AuthEmulatorHost != "" {
		return errors.New("FIREBASE_AUTH_EMULATOR_HOST is set on Cloud Run (K_SERVICE is set):" +
			" unset it, anybody can make the emulator's tokens")
	}
	if s.AllowUnsafe {
		return nil
	}
	if unsafe := s.unsafe(); len(unsafe) > 0 {
		return fmt.Errorf("refused on Cloud Run (K_SERVICE is set): %s;"+
			" if that is meant, set REPLIFIRE_ALLOW_UNSAFE=true or --allow-unsafe",
			strings.Join(unsafe, ", "))
	}
	return nil
}

// unsafe lists what strangers could make use of.
func (s *Settings) unsafe() []string {
	var list []string
	if s.Auth == "none" {
		list = append(list, "REPLIFIRE_AUTH=none (anybody can call)")
	}
	if s.Policy == "open" {
		list = append(list, "REPLIFIRE_POLICY=open (every caller may read, write and reset every space)")
	}
	if s.Dev {
		list = append(list, "REPLIFIRE_DEV=true (any web page may call)")
	}
	if s.Store == StoreMemory {
		list = append(list, "REPLIFIRE_STORE=memory (nothing is kept)")
	}
	return list
}
