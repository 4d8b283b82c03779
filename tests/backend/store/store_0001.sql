BEGIN TRANSACTION;
CREATE TABLE projects (
	id INTEGER NOT NULL, 
	title VARCHAR NOT NULL, 
	label_config VARCHAR NOT NULL, 
	extra_params JSON NOT NULL, 
	overrides JSON NOT NULL, 
	undo JSON NOT NULL, 
	backend_id INTEGER, 
	connected BOOLEAN NOT NULL, 
	changes INTEGER NOT NULL, 
	requested JSON NOT NULL, 
	problem VARCHAR NOT NULL, 
	current INTEGER, 
	announced VARCHAR NOT NULL, 
	compared DOUBLE NOT NULL, 
	compared_annotations INTEGER NOT NULL, 
	pool INTEGER NOT NULL, 
	new_labels INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "projects" VALUES(7,'Reviews','','{}','{"batch": 9}','{}',NULL,1,0,'{}','',1,'equipoise-r0001-bmmal',0.0,-1,0,0);
CREATE TABLE rounds (
	id INTEGER NOT NULL, 
	project INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	strategy VARCHAR NOT NULL, 
	cause VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	token VARCHAR NOT NULL, 
	lease DOUBLE NOT NULL, 
	started DOUBLE NOT NULL, 
	finished DOUBLE, 
	phase VARCHAR NOT NULL, 
	done INTEGER NOT NULL, 
	total INTEGER NOT NULL, 
	labels INTEGER NOT NULL, 
	pool INTEGER NOT NULL, 
	tasks INTEGER NOT NULL, 
	published INTEGER NOT NULL, 
	folder VARCHAR NOT NULL, 
	checkpoint VARCHAR NOT NULL, 
	options JSON NOT NULL, 
	durations JSON NOT NULL, 
	metrics JSON NOT NULL, 
	schema JSON NOT NULL, 
	trained_on JSON NOT NULL, 
	failures JSON NOT NULL, 
	error VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(project) REFERENCES projects (id)
);
INSERT INTO "rounds" VALUES(1,7,1,'train','equipoise-r0001-bmmal','bmmal','20 new labels','done','t',1.0,1.0,2.0,'',0,0,0,0,0,0,'projects/7/equipoise-r0001-bmmal','','{}','{}','{}','{}','{"11": "label=[''A'']"}','{}','');
CREATE INDEX ix_rounds_project ON rounds (project);
COMMIT;
