BEGIN TRANSACTION;
CREATE TABLE accounts (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	disabled_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "accounts" VALUES('3980bdf2-c29c-4a3d-bdda-450981df0ca7','ann','owner','x','2026-11-30 07:06:06.831000',NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE backups (
	target TEXT NOT NULL, 
	kept TEXT NOT NULL, 
	warning TEXT, 
	set_up_at DATETIME NOT NULL, 
	tried_at DATETIME, 
	succeeded_at DATETIME, 
	read_at DATETIME, 
	said TEXT, 
	error TEXT, 
	read_said TEXT, 
	read_error TEXT, 
	PRIMARY KEY (target)
);
CREATE TABLE chunks (
	job_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	"plan" TEXT NOT NULL, 
	state TEXT NOT NULL, 
	"key" TEXT, 
	build TEXT, 
	frames INTEGER NOT NULL, 
	duration_s DOUBLE NOT NULL, 
	frames_done INTEGER NOT NULL, 
	speed DOUBLE, 
	attempt INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	interruptions INTEGER NOT NULL, 
	repeats INTEGER NOT NULL, 
	not_before DATETIME, 
	node TEXT, 
	lease_until DATETIME, 
	paused_reason TEXT, 
	object_key TEXT, 
	size_bytes BIGINT, 
	start_s DOUBLE, 
	fingerprint TEXT, 
	warning TEXT, 
	error_code TEXT, 
	error TEXT, 
	PRIMARY KEY (job_id, number), 
	FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "chunks" VALUES('3d3493cd-3946-4e2c-8b6e-76ec0ad5061b',0,'audio','{"span": null, "from_copy": false}','done','ec0c64ff1e3283d9bc115f5920164fe6821351d6451c566c1f18e5843b8f892d','aac ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',0,10.008,0,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/3d3493cd-3946-4e2c-8b6e-76ec0ad5061b/0-1.mp4',203205,NULL,'',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('3d3493cd-3946-4e2c-8b6e-76ec0ad5061b',1,'video','{"span": "{\"clock_s\":0.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":null,\"last_s\":2.43,\"least_frames\":25,\"number\":0,\"seek_s\":null,\"start_s\":0.03,\"to_s\":2.49,\"version\":1}", "from_copy": false}','done','5fcdb3c24302309043447f0042458deacef0ee8802385995ef4b1013f8206e06','libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',25,2.52,25,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/3d3493cd-3946-4e2c-8b6e-76ec0ad5061b/1-1.mp4',18404,0.03,'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('3d3493cd-3946-4e2c-8b6e-76ec0ad5061b',2,'video','{"span": "{\"clock_s\":2.55,\"duration_s\":2.48,\"frames\":25,\"from_s\":2.49,\"last_s\":4.95,\"least_frames\":25,\"number\":1,\"seek_s\":2.54,\"start_s\":2.55,\"to_s\":4.99,\"version\":1}", "from_copy": false}','queued',NULL,NULL,25,2.48,0,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('3d3493cd-3946-4e2c-8b6e-76ec0ad5061b',3,'video','{"span": "{\"clock_s\":5.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":4.99,\"last_s\":7.43,\"least_frames\":25,\"number\":2,\"seek_s\":5.02,\"start_s\":5.03,\"to_s\":7.49,\"version\":1}", "from_copy": false}','queued',NULL,NULL,25,2.52,0,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('3d3493cd-3946-4e2c-8b6e-76ec0ad5061b',4,'video','{"span": "{\"clock_s\":7.55,\"duration_s\":2.44,\"frames\":25,\"from_s\":7.49,\"last_s\":9.95,\"least_frames\":25,\"number\":3,\"seek_s\":7.54,\"start_s\":7.55,\"to_s\":null,\"version\":1}", "from_copy": false}','queued',NULL,NULL,25,2.44,0,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('9caebe69-1ef5-4f8a-ba68-d2730b119aa1',0,'audio','{"span": null, "from_copy": false}','done','55d567f6a2a729f5b20f8e39dfc3a0db095a8b73bb585038139f92f0a0ccc9e9','aac ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',0,10.008,0,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/9caebe69-1ef5-4f8a-ba68-d2730b119aa1/0-1.mp4',203205,NULL,'',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('9caebe69-1ef5-4f8a-ba68-d2730b119aa1',1,'video','{"span": "{\"clock_s\":0.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":null,\"last_s\":2.43,\"least_frames\":25,\"number\":0,\"seek_s\":null,\"start_s\":0.03,\"to_s\":2.49,\"version\":1}", "from_copy": false}','done','31bb9c7b8a72facdaf2d4be1e7689bfa68e3bee2a3a8eb866bbe3e9e80298195','libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',25,2.52,25,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/9caebe69-1ef5-4f8a-ba68-d2730b119aa1/1-1.mp4',18404,0.03,'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('9caebe69-1ef5-4f8a-ba68-d2730b119aa1',2,'video','{"span": "{\"clock_s\":2.55,\"duration_s\":2.48,\"frames\":25,\"from_s\":2.49,\"last_s\":4.95,\"least_frames\":25,\"number\":1,\"seek_s\":2.54,\"start_s\":2.55,\"to_s\":4.99,\"version\":1}", "from_copy": false}','done','fb527c6d4f1256c9aa04d98bacec2fbf29191d528c22cb3ae6fd5b4596ebebb2','libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',25,2.48,25,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/9caebe69-1ef5-4f8a-ba68-d2730b119aa1/2-1.mp4',18637,2.55,'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('9caebe69-1ef5-4f8a-ba68-d2730b119aa1',3,'video','{"span": "{\"clock_s\":5.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":4.99,\"last_s\":7.43,\"least_frames\":25,\"number\":2,\"seek_s\":5.02,\"start_s\":5.03,\"to_s\":7.49,\"version\":1}", "from_copy": false}','done','9759daf89a28804f4a312fd4681827032013818ca644ba3433a5505244a82e03','libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',25,2.52,25,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/9caebe69-1ef5-4f8a-ba68-d2730b119aa1/3-1.mp4',19645,5.03,'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('9caebe69-1ef5-4f8a-ba68-d2730b119aa1',4,'video','{"span": "{\"clock_s\":7.55,\"duration_s\":2.44,\"frames\":25,\"from_s\":7.49,\"last_s\":9.95,\"least_frames\":25,\"number\":3,\"seek_s\":7.54,\"start_s\":7.55,\"to_s\":null,\"version\":1}", "from_copy": false}','done','62658a9347209200789fc9df2d69a3362bc1c6d9936a586661f950e112708456','libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',25,2.44,25,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/9caebe69-1ef5-4f8a-ba68-d2730b119aa1/4-1.mp4',20042,7.55,'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('8b60628d-834f-41ec-85a0-99f78af834c3',0,'audio','{"span": null, "from_copy": false}','done','3631eefffcde5a72c2471c7f2ac077bf5f0e21abb348276d81ad5392bdd350e0','aac ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',0,10.008,0,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/8b60628d-834f-41ec-85a0-99f78af834c3/0-1.mp4',203205,NULL,'',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('8b60628d-834f-41ec-85a0-99f78af834c3',1,'video','{"span": "{\"clock_s\":0.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":null,\"last_s\":2.43,\"least_frames\":25,\"number\":0,\"seek_s\":null,\"start_s\":0.03,\"to_s\":2.49,\"version\":1}", "from_copy": false}','done','ab3f677fb5c36a3fa09de825272c0b9f70e297d2b35f640e6c6090ac1e9ddf9c','libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',25,2.52,25,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/8b60628d-834f-41ec-85a0-99f78af834c3/1-1.mp4',18404,0.03,'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('8b60628d-834f-41ec-85a0-99f78af834c3',2,'video','{"span": "{\"clock_s\":2.55,\"duration_s\":2.48,\"frames\":25,\"from_s\":2.49,\"last_s\":4.95,\"least_frames\":25,\"number\":1,\"seek_s\":2.54,\"start_s\":2.55,\"to_s\":4.99,\"version\":1}", "from_copy": false}','done','40ec9a837b54cb97c5bc313528e254039ec6e5fd0a65e9de635ddf7f1313358f','libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100',25,2.48,25,NULL,1,0,0,0,NULL,NULL,NULL,NULL,'jobs/8b60628d-834f-41ec-85a0-99f78af834c3/2-1.mp4',18637,2.55,'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('8b60628d-834f-41ec-85a0-99f78af834c3',3,'video','{"span": "{\"clock_s\":5.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":4.99,\"last_s\":7.43,\"least_frames\":25,\"number\":2,\"seek_s\":5.02,\"start_s\":5.03,\"to_s\":7.49,\"version\":1}", "from_copy": false}','running',NULL,NULL,25,2.52,0,NULL,1,0,0,0,NULL,'n2','2026-11-30 07:09:42.810000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('8b60628d-834f-41ec-85a0-99f78af834c3',4,'video','{"span": "{\"clock_s\":7.55,\"duration_s\":2.44,\"frames\":25,\"from_s\":7.49,\"last_s\":9.95,\"least_frames\":25,\"number\":3,\"seek_s\":7.54,\"start_s\":7.55,\"to_s\":null,\"version\":1}", "from_copy": false}','queued',NULL,NULL,25,2.44,0,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE contents (
	id TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	object_key TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	state TEXT NOT NULL, 
	web_ready BOOLEAN NOT NULL, 
	duration_s DOUBLE, 
	width INTEGER, 
	height INTEGER, 
	facts TEXT, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT unq_contents__account_id_sha256 UNIQUE (account_id, sha256), 
	FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE, 
	UNIQUE (object_key)
);
INSERT INTO "contents" VALUES('7845b1a1-8062-49d2-b901-d0d499167940','3980bdf2-c29c-4a3d-bdda-450981df0ca7','7f7e594d76704543b4f287048c8c7d96',63789,'originals/e55f833f-e906-42da-84f9-07bfe8aeeb73','application/octet-stream','ready',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:06.887000');
INSERT INTO "contents" VALUES('e50b184c-9a43-4aa6-8486-5f7849dcca02','3980bdf2-c29c-4a3d-bdda-450981df0ca7','4143cdc5be424a2b8c6080c529be2354',63789,'originals/9f1154c7-d2c0-4295-a774-85000da24d25','application/octet-stream','failed',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:12.518000');
INSERT INTO "contents" VALUES('ecc49e58-28b2-4838-9ef1-c946dc47db94','3980bdf2-c29c-4a3d-bdda-450981df0ca7','7d2d68b54b134aab99aec3db4a766f42',63789,'originals/3cb69487-2f90-4da1-ba84-4fa319d433ec','application/octet-stream','stored',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:14.352000');
INSERT INTO "contents" VALUES('1dcdb262-f600-4cf9-a67b-f180c23338c6','3980bdf2-c29c-4a3d-bdda-450981df0ca7','d8ae099cfce14b9cac651a636c1f0f1b',63789,'originals/a7a68dbe-94b3-4401-8caf-ae0079178759','application/octet-stream','processing',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:22.793000');
INSERT INTO "contents" VALUES('895c73a2-9c98-4b99-975d-0b7cde29fc1c','3980bdf2-c29c-4a3d-bdda-450981df0ca7','6ae7a14e842f45b3ba1b34496a66ff88',63789,'originals/491609c6-7d7d-421c-b641-98910613e87c','application/octet-stream','processing',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:34.939000');
INSERT INTO "contents" VALUES('e0c15188-9f30-4228-9685-89cad55b9f45','3980bdf2-c29c-4a3d-bdda-450981df0ca7','5f32896ec4784295aa75d3077497cb02',63789,'originals/f5658e6d-6163-45c7-ad81-c602ae52e392','application/octet-stream','processing',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:42.897000');
INSERT INTO "contents" VALUES('874c1a72-a33d-438a-8771-763041df4d5f','3980bdf2-c29c-4a3d-bdda-450981df0ca7','578292f269c5432db79150aac23baef5',63789,'originals/2abfafa4-c431-4e14-beb8-6b60906b05f2','application/octet-stream','processing',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:44.428000');
INSERT INTO "contents" VALUES('ca6922a7-f50c-4e75-a241-109e192c214f','3980bdf2-c29c-4a3d-bdda-450981df0ca7','f7b48ffbe807438da1a3e1a1bb669bc0',19695,'originals/09bf315a-8862-4942-bb7f-c0c57fc5f9b5','application/octet-stream','processing',0,2.128,96,64,'{"audio":[{"channels":1,"codec":"aac","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":17,"disordered":0,"ends_s":2.176,"hidden":0,"key_interval_s":0.128,"last_s":2.048,"leading":0,"longest_gap_s":0.128,"starts_s":0.0,"untimed":0},"profile":"LC","sample_rate":8000,"title":""}],"bitrate_bps":74041,"brand":"","duration_s":2.128,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":2.176,"size_bytes":19695,"start_s":0.0,"subtitles":[{"codec":"subrip","index":2,"is_default":false,"is_for_hearing_impaired":false,"is_forced":false,"language":"","packets":{"before_key":0,"count":1,"disordered":0,"ends_s":1.6280000000000001,"hidden":0,"key_interval_s":1.0,"last_s":0.628,"leading":0,"longest_gap_s":0.0,"starts_s":0.628,"untimed":0},"title":""}],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"h264","color_range":"","declared":0,"delay":2,"field_order":"progressive","frame_rate":10.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":10,"matrix":"","packets":{"before_key":0,"count":20,"disordered":0,"ends_s":2.128,"hidden":0,"key_interval_s":1.0,"last_s":2.028,"leading":0,"longest_gap_s":0.1,"starts_s":0.128,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"High","real_frame_rate":10.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:46.671000');
INSERT INTO "contents" VALUES('c301fd82-44b8-43a7-b257-3383be7fa31e','3980bdf2-c29c-4a3d-bdda-450981df0ca7','a70c3aba832b47dd8f1a968b446a82e1',63789,'originals/dd7995b9-b14e-4e0f-9c9d-ed6b232ba225','application/octet-stream','processing',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:47.933000');
INSERT INTO "contents" VALUES('e7dfbf56-f332-4ee4-a0be-36cd54e6a192','3980bdf2-c29c-4a3d-bdda-450981df0ca7','6f74cdf26f374ddc901f3e80c60bd5ef',19516,'originals/bbd22060-1ba9-4838-a53c-6913a469ba37','application/octet-stream','processing',0,2.128,96,64,'{"audio":[{"channels":1,"codec":"aac","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":17,"disordered":0,"ends_s":2.176,"hidden":0,"key_interval_s":0.128,"last_s":2.048,"leading":0,"longest_gap_s":0.128,"starts_s":0.0,"untimed":0},"profile":"LC","sample_rate":8000,"title":""}],"bitrate_bps":73368,"brand":"","duration_s":2.128,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":2.176,"size_bytes":19516,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"h264","color_range":"","declared":0,"delay":2,"field_order":"progressive","frame_rate":10.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":10,"matrix":"","packets":{"before_key":0,"count":20,"disordered":0,"ends_s":2.128,"hidden":0,"key_interval_s":1.0,"last_s":2.028,"leading":0,"longest_gap_s":0.1,"starts_s":0.128,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"High","real_frame_rate":10.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:49.498000');
INSERT INTO "contents" VALUES('d4562f4b-a3b7-4e5d-bd4a-6556fa7b4567','3980bdf2-c29c-4a3d-bdda-450981df0ca7','9b4b0845be3249ea8ab95a849f78a463',63789,'originals/1d6ebc4e-f556-4975-bb81-99f36f134867','application/octet-stream','processing',0,10.008,96,64,'{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}','2026-11-30 07:06:50.913000');
INSERT INTO "contents" VALUES('9441525d-2db0-46d0-ae56-3b89d33d7c39','3980bdf2-c29c-4a3d-bdda-450981df0ca7','6e8f5ad4aed44fddba56d33a01af3589',63789,'originals/3952f40e-a23a-4560-b5ed-f01bbf40103b','application/octet-stream','processing',0,NULL,NULL,NULL,NULL,'2026-11-30 07:06:52.591000');
CREATE TABLE doomed_objects (
	object_key TEXT NOT NULL, 
	delete_after DATETIME NOT NULL, 
	PRIMARY KEY (object_key)
);
INSERT INTO "doomed_objects" VALUES('jobs/3d3493cd-3946-4e2c-8b6e-76ec0ad5061b/0-1.mp4','2026-12-01 07:06:22.759000');
INSERT INTO "doomed_objects" VALUES('jobs/3d3493cd-3946-4e2c-8b6e-76ec0ad5061b/1-1.mp4','2026-12-01 07:06:22.759000');
CREATE TABLE files (
	id TEXT NOT NULL, 
	content_id TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	visibility TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	PRIMARY KEY (id), 
	CONSTRAINT unq_files__account_id_name_content_id UNIQUE (account_id, name, content_id), 
	FOREIGN KEY(content_id) REFERENCES contents (id) ON DELETE CASCADE
);
INSERT INTO "files" VALUES('d6709354-4c61-4c6d-aec5-c285a9c77ad0','7845b1a1-8062-49d2-b901-d0d499167940','3980bdf2-c29c-4a3d-bdda-450981df0ca7','done.mkv','application/octet-stream','household','2026-11-30 07:06:06.887000','2026-11-30 07:06:06.887000',NULL);
INSERT INTO "files" VALUES('9199f187-4830-4ceb-9b7e-96b244c25615','e50b184c-9a43-4aa6-8486-5f7849dcca02','3980bdf2-c29c-4a3d-bdda-450981df0ca7','failed.mkv','application/octet-stream','household','2026-11-30 07:06:12.518000','2026-11-30 07:06:12.518000',NULL);
INSERT INTO "files" VALUES('66df5423-30b5-46ca-b2dd-eefaccc5af8c','ecc49e58-28b2-4838-9ef1-c946dc47db94','3980bdf2-c29c-4a3d-bdda-450981df0ca7','cancelled.mkv','application/octet-stream','household','2026-11-30 07:06:14.352000','2026-11-30 07:06:14.352000',NULL);
INSERT INTO "files" VALUES('1ef8d7b8-1b35-4a5d-ad69-00a100a18f26','1dcdb262-f600-4cf9-a67b-f180c23338c6','3980bdf2-c29c-4a3d-bdda-450981df0ca7','joinable.mkv','application/octet-stream','household','2026-11-30 07:06:22.793000','2026-11-30 07:06:22.793000',NULL);
INSERT INTO "files" VALUES('d32edca9-cd77-4d78-8af0-50e9197bb35b','895c73a2-9c98-4b99-975d-0b7cde29fc1c','3980bdf2-c29c-4a3d-bdda-450981df0ca7','half-chunked.mkv','application/octet-stream','household','2026-11-30 07:06:34.939000','2026-11-30 07:06:34.939000',NULL);
INSERT INTO "files" VALUES('4575b402-7da0-46bf-b68d-3ba9032dc76e','e0c15188-9f30-4228-9685-89cad55b9f45','3980bdf2-c29c-4a3d-bdda-450981df0ca7','running.mkv','application/octet-stream','household','2026-11-30 07:06:42.897000','2026-11-30 07:06:42.897000',NULL);
INSERT INTO "files" VALUES('ba7be597-2d45-4eb4-a9ec-b2bd7786c756','874c1a72-a33d-438a-8771-763041df4d5f','3980bdf2-c29c-4a3d-bdda-450981df0ca7','paused.mkv','application/octet-stream','household','2026-11-30 07:06:44.428000','2026-11-30 07:06:44.428000',NULL);
INSERT INTO "files" VALUES('52d64ffa-7b78-4b97-9fb8-b4c0bc02579c','ca6922a7-f50c-4e75-a241-109e192c214f','3980bdf2-c29c-4a3d-bdda-450981df0ca7','subtitles.mkv','application/octet-stream','household','2026-11-30 07:06:46.671000','2026-11-30 07:06:46.671000',NULL);
INSERT INTO "files" VALUES('377ace63-4949-4dc6-b213-8ed4b62f8ab0','c301fd82-44b8-43a7-b257-3383be7fa31e','3980bdf2-c29c-4a3d-bdda-450981df0ca7','uncut.mkv','application/octet-stream','household','2026-11-30 07:06:47.933000','2026-11-30 07:06:47.933000',NULL);
INSERT INTO "files" VALUES('af8c746b-ef55-46e6-8550-6775660c2796','e7dfbf56-f332-4ee4-a0be-36cd54e6a192','3980bdf2-c29c-4a3d-bdda-450981df0ca7','remux.mkv','application/octet-stream','household','2026-11-30 07:06:49.498000','2026-11-30 07:06:49.498000',NULL);
INSERT INTO "files" VALUES('1d0af5e0-37ca-4bb8-8be2-706723891961','d4562f4b-a3b7-4e5d-bd4a-6556fa7b4567','3980bdf2-c29c-4a3d-bdda-450981df0ca7','waiting.mkv','application/octet-stream','household','2026-11-30 07:06:50.913000','2026-11-30 07:06:50.913000',NULL);
INSERT INTO "files" VALUES('4abd688d-99bb-4e50-b67c-221d96cfd11c','9441525d-2db0-46d0-ae56-3b89d33d7c39','3980bdf2-c29c-4a3d-bdda-450981df0ca7','probe.mkv','application/octet-stream','household','2026-11-30 07:06:52.591000','2026-11-30 07:06:52.591000',NULL);
CREATE TABLE jobs (
	id TEXT NOT NULL, 
	content_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	queue TEXT NOT NULL, 
	state TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	interruptions INTEGER NOT NULL, 
	not_before DATETIME, 
	progress DOUBLE NOT NULL, 
	speed DOUBLE, 
	eta_s DOUBLE, 
	node TEXT, 
	lease_until DATETIME, 
	"plan" TEXT, 
	plan_version INTEGER, 
	plan_reasons TEXT, 
	rung TEXT, 
	command TEXT, 
	warning TEXT, 
	error_code TEXT, 
	error TEXT, 
	log TEXT, 
	chunks_total INTEGER NOT NULL, 
	chunks_done INTEGER NOT NULL, 
	chunks_repeated INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	stage TEXT NOT NULL, 
	encoder TEXT, 
	fingerprint TEXT, 
	paused_reason TEXT, 
	rejections INTEGER NOT NULL, 
	restarts INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(content_id) REFERENCES contents (id) ON DELETE CASCADE
);
INSERT INTO "jobs" VALUES('f37fd299-2ca0-4964-bfe7-b9d167eb6980','7845b1a1-8062-49d2-b901-d0d499167940','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:06.887000','2026-11-30 07:06:06.950000','2026-11-30 07:06:08.417000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('b479fffe-0005-4f18-8e57-5ba1c4b5483b','7845b1a1-8062-49d2-b901-d0d499167940','rendition','encode','done',10,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p','ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/e55f833f-e906-42da-84f9-07bfe8aeeb73 -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/b479fffe-0005-4f18-8e57-5ba1c4b5483b-1/film.mp4',NULL,NULL,NULL,'',0,0,0,'2026-11-30 07:06:08.417000','2026-11-30 07:06:08.461000','2026-11-30 07:06:12.512000','whole','libx264',NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('70a99b70-f1f3-4275-bc92-40c0a79073ad','e50b184c-9a43-4aa6-8486-5f7849dcca02','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:12.518000','2026-11-30 07:06:12.522000','2026-11-30 07:06:14.042000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('34a25511-9218-439f-b6aa-2860eaa1dbd9','e50b184c-9a43-4aa6-8486-5f7849dcca02','rendition','encode','failed',10,3,3,0,NULL,0.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p','ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/9f1154c7-d2c0-4295-a774-85000da24d25 -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/34a25511-9218-439f-b6aa-2860eaa1dbd9-3/film.mp4',NULL,'ffmpeg_failed','ffmpeg ended with status 1.',NULL,0,0,0,'2026-11-30 07:06:14.042000','2026-11-30 07:06:14.263000','2026-11-30 07:06:14.326000','whole','libx264',NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('c3d10101-b668-4171-b7fd-c96afba3f78c','ecc49e58-28b2-4838-9ef1-c946dc47db94','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:14.352000','2026-11-30 07:06:14.367000','2026-11-30 07:06:15.785000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('3d3493cd-3946-4e2c-8b6e-76ec0ad5061b','ecc49e58-28b2-4838-9ef1-c946dc47db94','rendition','encode','cancelled',10,2,0,0,NULL,0.25,NULL,NULL,NULL,NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p','ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -copyts -noaccurate_seek -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/3cb69487-2f90-4da1-ba84-4fa319d433ec -map 0:0 -map_metadata -1 -map_chapters -1 -sn -dn -vf settb=AVTB,trim=end=2.490000,scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -output_ts_offset -0.030000 -frames:v 25 -an -f mp4 file:/var/lib/nebula/scratch/encode/3d3493cd-3946-4e2c-8b6e-76ec0ad5061b-1-1/chunk.mp4',NULL,NULL,NULL,'',5,2,0,'2026-11-30 07:06:15.785000','2026-11-30 07:06:15.797000','2026-11-30 07:06:22.759000','chunks','libx264','SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,0,0);
INSERT INTO "jobs" VALUES('ab6de5f4-e702-4233-90f1-c0474b10045a','1dcdb262-f600-4cf9-a67b-f180c23338c6','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:22.793000','2026-11-30 07:06:22.829000','2026-11-30 07:06:24.384000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('9caebe69-1ef5-4f8a-ba68-d2730b119aa1','1dcdb262-f600-4cf9-a67b-f180c23338c6','rendition','quick','queued',10,1,0,0,NULL,1.0,NULL,NULL,NULL,NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p','ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -copyts -noaccurate_seek -ss 7.540000 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/a7a68dbe-94b3-4401-8caf-ae0079178759 -map 0:0 -map_metadata -1 -map_chapters -1 -sn -dn -vf settb=AVTB,trim=start=7.490000,scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -output_ts_offset -7.550000 -frames:v 25 -an -f mp4 file:/var/lib/nebula/scratch/encode/9caebe69-1ef5-4f8a-ba68-d2730b119aa1-4-1/chunk.mp4',NULL,NULL,NULL,'',5,5,0,'2026-11-30 07:06:24.384000','2026-11-30 07:06:24.407000',NULL,'join','libx264','SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,0,0);
INSERT INTO "jobs" VALUES('cdcefb04-bc28-4b9a-b5a2-0ae22d634d31','895c73a2-9c98-4b99-975d-0b7cde29fc1c','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:34.939000','2026-11-30 07:06:34.956000','2026-11-30 07:06:36.336000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('8b60628d-834f-41ec-85a0-99f78af834c3','895c73a2-9c98-4b99-975d-0b7cde29fc1c','rendition','encode','running',10,1,0,0,NULL,0.5,NULL,NULL,'n2',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p','ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -copyts -noaccurate_seek -ss 5.020000 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/491609c6-7d7d-421c-b641-98910613e87c -map 0:0 -map_metadata -1 -map_chapters -1 -sn -dn -vf settb=AVTB,trim=start=4.990000:end=7.490000,scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -output_ts_offset -5.030000 -frames:v 25 -an -f mp4 file:/var/lib/nebula/scratch/encode/8b60628d-834f-41ec-85a0-99f78af834c3-3-1/chunk.mp4',NULL,NULL,NULL,NULL,5,3,0,'2026-11-30 07:06:36.336000','2026-11-30 07:06:36.351000',NULL,'chunks','libx264','SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411',NULL,0,0);
INSERT INTO "jobs" VALUES('d9cb912e-f6d5-45f6-b4d2-153088aa0584','e0c15188-9f30-4228-9685-89cad55b9f45','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:42.897000','2026-11-30 07:06:42.922000','2026-11-30 07:06:44.349000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('069ddd5c-5ee9-4894-adf5-bbfa35e9d43c','e0c15188-9f30-4228-9685-89cad55b9f45','rendition','encode','running',10,1,0,0,NULL,0.0,NULL,NULL,'n-running','2026-11-30 07:09:44.362000','encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p','ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/f5658e6d-6163-45c7-ad81-c602ae52e392 -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/069ddd5c-5ee9-4894-adf5-bbfa35e9d43c-1/film.mp4',NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:44.349000','2026-11-30 07:06:44.362000',NULL,'whole','libx264',NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('9d169530-7daa-48fa-9c05-969b8879c118','874c1a72-a33d-438a-8771-763041df4d5f','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:44.428000','2026-11-30 07:06:44.433000','2026-11-30 07:06:45.558000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('d9a4c78f-2868-4881-a7e2-38ba1d628d2b','874c1a72-a33d-438a-8771-763041df4d5f','rendition','encode','paused',10,1,0,0,NULL,0.0,NULL,NULL,'n-paused','2026-11-30 07:09:45.580000','encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p','ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/2abfafa4-c431-4e14-beb8-6b60906b05f2 -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/d9a4c78f-2868-4881-a7e2-38ba1d628d2b-1/film.mp4',NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:45.558000','2026-11-30 07:06:45.580000',NULL,'whole','libx264',NULL,'on battery at 30 %',0,0);
INSERT INTO "jobs" VALUES('dbd561a7-3c79-46cc-86d8-0a680c6a717f','ca6922a7-f50c-4e75-a241-109e192c214f','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'remux',1,'["container is matroska, not MP4"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:46.671000','2026-11-30 07:06:46.692000','2026-11-30 07:06:47.918000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('d36149ea-a204-42c0-839f-4d9fa6dc59af','ca6922a7-f50c-4e75-a241-109e192c214f','subtitles','quick','queued',30,0,0,0,NULL,0.0,NULL,NULL,NULL,NULL,NULL,NULL,'["subtitles 2 (subrip) is kept as WebVTT"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:47.922000',NULL,NULL,'whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('a0d1bc0d-c852-4f07-aa1b-9af5aee41bf9','ca6922a7-f50c-4e75-a241-109e192c214f','rendition','quick','queued',10,0,0,0,NULL,0.0,NULL,NULL,NULL,NULL,'remux',1,'["container is matroska, not MP4"]','source',NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:47.918000',NULL,NULL,'whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('09b50220-3c84-4d62-a379-60ecbe26fc22','c301fd82-44b8-43a7-b257-3383be7fa31e','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:47.933000','2026-11-30 07:06:47.949000','2026-11-30 07:06:49.489000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('646a15d6-cf65-41bf-aba9-c2ecc4f1f70f','c301fd82-44b8-43a7-b257-3383be7fa31e','rendition','quick','queued',10,0,0,0,NULL,0.0,NULL,NULL,NULL,NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p',NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:49.489000',NULL,NULL,'split',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('cce4ba35-40c7-4fe2-8599-5be023818d5d','e7dfbf56-f332-4ee4-a0be-36cd54e6a192','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'remux',1,'["container is matroska, not MP4"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:49.498000','2026-11-30 07:06:49.506000','2026-11-30 07:06:50.905000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('0998d306-d980-4965-80b2-2afced9f8056','e7dfbf56-f332-4ee4-a0be-36cd54e6a192','rendition','quick','queued',10,0,0,0,NULL,0.0,NULL,NULL,NULL,NULL,'remux',1,'["container is matroska, not MP4"]','source',NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:50.905000',NULL,NULL,'whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('6303e995-1a87-4c0c-a3f4-c3b442df728b','d4562f4b-a3b7-4e5d-bd4a-6556fa7b4567','probe','quick','done',0,1,0,0,NULL,1.0,NULL,NULL,'n1',NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:50.913000','2026-11-30 07:06:50.915000','2026-11-30 07:06:52.585000','whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('2b6038d1-e59a-4b65-a1a4-c6aa5ed48806','d4562f4b-a3b7-4e5d-bd4a-6556fa7b4567','rendition','encode','queued',10,0,0,0,NULL,0.0,NULL,NULL,NULL,NULL,'encode',1,'["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]','64p',NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:52.585000',NULL,NULL,'whole',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES('42216297-66c3-46f6-8e6d-9bf512460e98','9441525d-2db0-46d0-ae56-3b89d33d7c39','probe','quick','queued',0,0,0,0,NULL,0.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'2026-11-30 07:06:52.591000',NULL,NULL,'whole',NULL,NULL,NULL,0,0);
CREATE TABLE links (
	id TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	file_id TEXT NOT NULL, 
	rendition_id TEXT, 
	subtitles_id TEXT, 
	quality TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (digest), 
	FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE CASCADE, 
	FOREIGN KEY(rendition_id) REFERENCES renditions (id) ON DELETE SET NULL, 
	FOREIGN KEY(subtitles_id) REFERENCES subtitles (id) ON DELETE SET NULL
);
CREATE TABLE login_failures (
	subject TEXT NOT NULL, 
	failures INTEGER NOT NULL, 
	last_at DATETIME NOT NULL, 
	blocked_until DATETIME NOT NULL, 
	PRIMARY KEY (subject)
);
CREATE TABLE nodes (
	name TEXT NOT NULL, 
	version TEXT NOT NULL, 
	encoder TEXT, 
	viewers INTEGER NOT NULL, 
	viewers_at DATETIME, 
	throttle TEXT, 
	throttle_since DATETIME, 
	power TEXT, 
	power_at DATETIME, 
	paused_s DOUBLE NOT NULL, 
	started_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE operations (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	asked_by TEXT NOT NULL, 
	commit_id TEXT, 
	release TEXT, 
	message TEXT, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	PRIMARY KEY (id)
);
CREATE TABLE power_changes (
	id TEXT NOT NULL, 
	node TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	throttle TEXT NOT NULL, 
	reasons TEXT NOT NULL, 
	on_mains BOOLEAN, 
	percent DOUBLE, 
	temperature_c DOUBLE, 
	PRIMARY KEY (id)
);
CREATE TABLE purge_holds (
	holder TEXT NOT NULL, 
	held_until DATETIME NOT NULL, 
	PRIMARY KEY (holder)
);
CREATE TABLE refresh_tokens (
	digest TEXT NOT NULL, 
	session_id TEXT NOT NULL, 
	parent TEXT, 
	jti TEXT NOT NULL, 
	issued_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	spent_at DATETIME, 
	access_seen_at DATETIME, 
	dead_at DATETIME, 
	PRIMARY KEY (digest), 
	FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE, 
	UNIQUE (jti)
);
CREATE TABLE renditions (
	id TEXT NOT NULL, 
	content_id TEXT NOT NULL, 
	rung TEXT NOT NULL, 
	object_key TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	sha256 TEXT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	duration_s DOUBLE NOT NULL, 
	video_codec TEXT NOT NULL, 
	audio_codec TEXT, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT unq_renditions__content_id_rung UNIQUE (content_id, rung), 
	FOREIGN KEY(content_id) REFERENCES contents (id) ON DELETE CASCADE, 
	UNIQUE (object_key)
);
INSERT INTO "renditions" VALUES('f497e1bf-8152-40a0-8bd7-66d70056a24e','7845b1a1-8062-49d2-b901-d0d499167940','64p','renditions/b479fffe-0005-4f18-8e57-5ba1c4b5483b/1.mp4',276497,'e16ff6e09c544378aee9a20839715890cfd63a429c4145ce988840fa18fe5c2c',96,64,10.008,'h264','aac','2026-11-30 07:06:12.512000');
CREATE TABLE sessions (
	id TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	user_agent TEXT NOT NULL, 
	address TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_used_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE TABLE subtitles (
	id TEXT NOT NULL, 
	content_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	codec TEXT NOT NULL, 
	language TEXT, 
	title TEXT, 
	is_default BOOLEAN NOT NULL, 
	is_forced BOOLEAN NOT NULL, 
	is_for_hearing_impaired BOOLEAN NOT NULL, 
	object_key TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	sha256 TEXT NOT NULL, 
	cues INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT unq_subtitles__content_id_number UNIQUE (content_id, number), 
	FOREIGN KEY(content_id) REFERENCES contents (id) ON DELETE CASCADE, 
	UNIQUE (object_key)
);
CREATE TABLE upload_parts (
	upload_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	etag TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	PRIMARY KEY (upload_id, number), 
	FOREIGN KEY(upload_id) REFERENCES uploads (id) ON DELETE CASCADE
);
CREATE TABLE uploads (
	id TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	name TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	visibility TEXT NOT NULL, 
	announced_sha256 TEXT, 
	length_bytes BIGINT, 
	offset_bytes BIGINT NOT NULL, 
	object_key TEXT NOT NULL, 
	multipart_id TEXT, 
	attempt INTEGER NOT NULL, 
	tail_attempt INTEGER NOT NULL, 
	resumable BOOLEAN NOT NULL, 
	lease_until DATETIME, 
	file_id TEXT, 
	error_code TEXT, 
	error TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE, 
	UNIQUE (object_key)
);
CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX files_by_content ON files (content_id);
CREATE INDEX files_by_deletion ON files (deleted_at);
CREATE INDEX files_by_name ON files (name);
CREATE INDEX idx_files__created_at_id ON files (created_at, id);
CREATE INDEX uploads_by_account ON uploads (account_id);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX doomed_objects_by_time ON doomed_objects (delete_after);
CREATE INDEX idx_jobs__queue_state_priority_created_at ON jobs (queue, state, priority, created_at);
CREATE INDEX jobs_by_content ON jobs (content_id);
CREATE INDEX idx_chunks__state_job_id ON chunks (state, job_id);
CREATE INDEX links_by_account ON links (account_id);
CREATE INDEX links_by_file ON links (file_id);
CREATE INDEX links_by_rendition ON links (rendition_id);
CREATE INDEX links_by_subtitles ON links (subtitles_id);
CREATE INDEX idx_power_changes__node_at ON power_changes (node, at);
CREATE INDEX operations_by_time ON operations (created_at);
COMMIT;
