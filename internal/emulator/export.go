package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
)

// Export has the emulator at host write all documents of a project's default database,
// as gcloud firestore export does, into a folder that does not exist yet. It returns the
// path of the metadata file, which is what Options.Import of another emulator takes.
func Export(ctx context.Context, host, project, folder string) (string, error) {
	body, err := json.Marshal(map[string]string{
		"database":         "projects/" + project + "/databases/(default)",
		"export_directory": filepath.Dir(folder),
		"export_name":      filepath.Base(folder),
	})
	if err != nil {
		return "", err
	}
	e := &Emulator{host: host}
	path := "/emulator/v1/projects/" + url.PathEscape(project) + ":export"
	if err := e.request(ctx, http.MethodPost, path, body); err != nil {
		return "", fmt.Errorf("exporting from the Firestore emulator: %w", err)
	}
	return filepath.Join(folder, filepath.Base(folder)+".overall_export_metadata"), nil
}
