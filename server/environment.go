package server

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// SettingsFromEnv are the settings of this process's environment.
func SettingsFromEnv() (Settings, error) { return ParseSettings(nil, os.Getenv) }

// ParseSettings takes settings from flags, for what these leave out from the
// environment variables that getenv finds, and for the rest from the defaults.
// The error says what is wrong, as Settings.Validate does.
func ParseSettings(args []string, getenv func(string) string) (Settings, error) {
	var s Settings
	parser, err := kong.New(&s, Flags(getenv), kong.NoDefaultHelp())
	if err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	if _, err := parser.Parse(args); err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// Flags is what a kong parser needs that has Settings or FirestoreSettings in its
// grammar: their groups and help texts, and their environment variables. These it
// takes from getenv and not from the process, so that tests need not change
// theirs. A variable that is set but empty counts as not set: that is how
// deployment templates write "none".
func Flags(getenv func(string) string) kong.Option {
	f := flags{getenv: getenv, names: map[*kong.Value][]string{}}
	return kong.OptionFunc(func(k *kong.Kong) error {
		for _, o := range []kong.Option{
			kong.ExplicitGroups(groups),
			kong.PostBuild(f.prepare),
			kong.Resolvers(kong.ResolverFunc(f.resolve)),
			kong.ValueFormatter(f.help),
			kong.Bind(variables(getenv)),
			kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(duration)),
		} {
			if err := o.Apply(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// duration is kong's, but for what it says of days, which Go has not.
func duration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no duration: it must be one such as 720h, 1h30m or 10s", text)
	}
	target.SetInt(int64(d))
	return nil
}

// variables finds environment variables.
type variables func(name string) string

// flags is what Flags adds to one parser.
type flags struct {
	getenv func(string) string
	// names are the environment variables of each flag, taken away from kong,
	// which would look them up in the process.
	names map[*kong.Value][]string
}

func (f flags) prepare(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			f.names[flag.Value], flag.Tag.Envs = flag.Tag.Envs, nil
			flag.Help = cmp.Or(flag.Help, help[flag.Name])
		}
		return next(nil)
	})
}

// resolve finds a flag's value in the environment; nil means that it has none.
func (f flags) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range f.names[flag.Value] {
		if v := f.getenv(name); v != "" {
			return v, nil
		}
	}
	return nil, nil
}

// help is a flag's help with the name of its environment variable.
func (f flags) help(v *kong.Value) string {
	names := f.names[v]
	if len(names) == 0 {
		return v.Help
	}
	return v.Help + " [$" + strings.Join(names, ", $") + "]"
}
