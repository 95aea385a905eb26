package dsn

import "github.com/reputemail/repute/bounce/internal/entity"

func freeForm(m *entity.Part) *Notification { return nil }
